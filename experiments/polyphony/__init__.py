"""Music of several voices: reading, going on with it, and filling in what is missing."""
