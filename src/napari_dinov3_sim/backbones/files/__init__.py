"""The files of a model: where they are, how they are downloaded, and what is in them.

May import `backbones/errors.py` and `registry.py`.
"""
