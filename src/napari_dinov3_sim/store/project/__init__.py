"""Projects as files: what a session was, to go on with it later or elsewhere.

`records` says what is in one and checks every value, `archive` writes and reads the file, and
`places` says where images are and finds those that have moved. May import `core/`, and
`safetensors_io` beside it; never napari.
"""
