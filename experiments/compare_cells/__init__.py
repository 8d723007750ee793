"""All cells on one task, with equal numbers of parameters."""
