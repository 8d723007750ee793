"""Stacks of many layers."""
