"""Measurements of the objects of Labels layers: a table, features, files.

May import `session/results/`, and what that may import.
"""
