"""Missing values of a series of measurements."""
