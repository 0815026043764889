"""Subjects of `scripts/fuzz.py`: what is damaged, stopped or refused, and what came of it."""
