"""A language model over the characters of any text."""
