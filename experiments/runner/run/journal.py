"""metrics.jsonl and clock.jsonl: lines that a resumed run takes up where its checkpoint stands."""

from birnn_jax.training import JsonLines

read_journal = JsonLines.read
"""The records of a file, up to a line that is none, as a killed process leaves it."""
