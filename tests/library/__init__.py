"""Tests of `birnn_jax`."""
