"""What `scripts/compat.py` is made of: environments, a trial of one, and the table."""
