"""Builds the documentation site from docs/ and from the README files of the experiments."""
