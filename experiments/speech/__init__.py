"""Spoken digits from real recordings."""
