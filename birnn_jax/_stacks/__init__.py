"""Layers on top of one another."""
