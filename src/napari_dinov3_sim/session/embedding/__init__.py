"""From planes to embeddings: which are embedded or requested, and the one job that embeds.

May import `core/`, `store/`, `backbones/`, `session/images/`, `worker_messages.py` and
`runner.py`.
"""
