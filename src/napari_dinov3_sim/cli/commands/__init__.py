"""Commands, one module each: `similarity`, `search`, `embed`, `models`, `compare-models`, `demo`.

May import everything in `cli/` except `parser.py`. Only `demo.py` imports the samples and the
dock.
"""
