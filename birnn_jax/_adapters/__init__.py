"""What the layers for Linen and NNX share, without Flax itself."""
