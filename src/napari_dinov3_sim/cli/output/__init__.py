"""What a command writes: names of files, results, pictures.

May import `cli/reading/` and what is directly in `cli/`, except `pipeline.py` and `parser.py`.
"""
