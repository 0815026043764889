"""From a question to scores: the question, the vectors of each class, and the job.

May import `core/`, `store/`, `session/images/`, `worker_messages.py` and `runner.py`.
"""
