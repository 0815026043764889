"""One module for each command: `similarity`, `search`, `embed`, `models`, `demo`.

May import everything else in `cli/`.
"""
