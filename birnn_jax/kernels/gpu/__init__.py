"""A layer in one Pallas kernel for all of its steps on a Hopper GPU; tested in interpret mode."""
