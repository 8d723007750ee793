"""Spoken words: recordings, features computed from them, and the networks that read them."""
