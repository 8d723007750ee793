"""A network that continues music."""
