"""From embeddings and a query to scores, and from scores to thresholds, peaks and matches.

May import `core/embedding/`, `core/images/` and what is directly in `core/`.
"""
