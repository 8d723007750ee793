"""A layer in one Pallas kernel for all of its steps on a TPU; tested in interpret mode."""
