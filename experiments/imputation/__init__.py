"""Missing values of a series of measurements: reading, hiding, the model, what it fills in."""
