"""One step of every variant in float64 NumPy: those of `birnn_jax.selfcheck.variants`."""

from birnn_jax.selfcheck.variants import *  # noqa: F403
