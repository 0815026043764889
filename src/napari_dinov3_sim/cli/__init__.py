"""Ring 4, the command line. `parser.main` is the entry; a command is imported when it runs.

May import `core/`, `store/` and `backbones/`, and neither napari nor `session/`.
"""
