"""Objects of planes, with the edges of the image or of patches, found in the background.

May import `session/embedding/`, `session/answering/` and what those may import.
"""
