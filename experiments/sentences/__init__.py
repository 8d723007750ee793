"""Labels for whole sentences: reading, the model, what it found, a baseline."""
