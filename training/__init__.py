"""How the built-in model is made: drawings, photographs, training, export (see README.md)."""
