"""Part-of-speech tagging of real text."""
