"""One label for a sentence."""
