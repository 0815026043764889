"""What a command writes: names of files, results, pictures.

May import `cli/reading/` and what lies directly in `cli/`, but no command.
"""
