"""Whole series with one label each."""
