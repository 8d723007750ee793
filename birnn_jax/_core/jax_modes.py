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
    if jet is None:
        return
    traces = [getattr(leaf, "_trace", None) for leaf in jax.tree.leaves(arguments)]
    while traces := [trace for trace in traces if trace is not None]:  # and in those around them
        if not any(isinstance(trace, jet.JetTrace) for trace in traces):
            traces = [getattr(trace, "parent_trace", None) for trace in traces]
            continue
        raise NotImplementedError(
            "birnn_jax cannot be differentiated in Taylor mode: jax.experimental.jet has no rule "
            "for a loop over time. Nest jax.jvp or jax.grad for higher derivatives."
        )
