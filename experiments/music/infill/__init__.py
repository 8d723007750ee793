"""A network that fills in hidden notes."""
