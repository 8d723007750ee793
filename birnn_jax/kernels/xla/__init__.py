"""Fast loops by XLA, and their derivative, for cells taken apart into a rule."""
