"""How far gradients reach back in time."""
