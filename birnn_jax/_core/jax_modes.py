"""What JAX is doing to a program: looking for NaN, Taylor mode."""

import sys
from typing import Any

import jax


def looks_for_nans() -> bool:
    """Whether JAX looks for NaN in every result, and runs what gave one again step by step."""
    config: Any = jax.config
    return config.jax_debug_nans or config.jax_debug_infs


def refuse_taylor_mode(arguments: Any) -> None:
    """`jax.experimental.jet` knows no loops; without this it fails at an internal name."""
    jet = sys.modules.get("jax.experimental.jet")
    leaves = jax.tree.leaves(arguments)
    if jet is not None and any(isinstance(leaf, jet.JetTracer) for leaf in leaves):
        raise NotImplementedError(
            "birnn_jax cannot be differentiated in Taylor mode: jax.experimental.jet has no rule "
            "for a loop over time. Nest jax.jvp or jax.grad for higher derivatives."
        )
