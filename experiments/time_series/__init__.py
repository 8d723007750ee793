"""Series of measurements."""
