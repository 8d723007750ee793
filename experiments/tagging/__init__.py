"""Labels for words in their sentence: reading, encoding, the model, what it found."""
