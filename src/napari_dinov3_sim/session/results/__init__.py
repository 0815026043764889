"""Results of maps and embeddings: objects, peaks, matches, colours, saved queries.

May import `session/query/`, and what that may import.
"""
