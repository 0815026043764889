"""The command line. `parser.main` is the entry; a command is imported only when it runs.

May import `core/`, `store/` and `backbones/`; the demo opens the dock as well.
"""
