"""A layer in one launch for all of its steps on a TPU, by Pallas; tested in interpret mode."""
