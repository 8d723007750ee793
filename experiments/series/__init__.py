"""Whole series with one label each: reading, the model, what it gets right."""
