"""Files for other programs from what is in the viewer, and regions from theirs.

May import `session/results/` and `session/query/`, and what these may import. The formats are in
`exchange/`.
"""
