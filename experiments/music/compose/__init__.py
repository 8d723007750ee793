"""A network that goes on with music."""
