"""Ring 3: files that need not be open, searched by a process of their own.

May import what lies below it in `session/`, and `readers/` to find images; the process runs the
command line, of which only the options are known here.
"""
