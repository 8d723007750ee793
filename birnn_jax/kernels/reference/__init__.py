"""The definition, for any cell; every other backend is held to it."""
