"""What makes a query: points, shapes, labels, a loaded query, and the question made of them.

May import `session/interaction/`, and what that may import.
"""
