"""The candidates, one file a framework, by the names that the command line takes.

Those on JAX define `make_layer(point, **settings) -> Layer`, those that bring their own arrays
`make_program(point, inputs, **settings) -> Program`. A framework without the cell, the noise or
lengths raises `Unsupported` and says why. A framework is imported when its process needs it.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from benchmarks._points import Point


class Unsupported(Exception):
    """This framework has no such thing to measure."""


def require(
    point: Point, framework: str, cells: Collection[str], options: Collection[str] = ()
) -> None:
    """Raises `Unsupported` unless the cell is one of `cells`, and its option one of `options`."""
    if point.cell not in cells:
        raise Unsupported(f"{framework} has no {point.cell}, or it is another function.")
    if point.option and point.option not in options:
        raise Unsupported(f"{framework} has no {point.option}.")


class Layer(NamedTuple):
    """One bidirectional layer of a framework on JAX."""

    to_params: Callable[[Any], Any]  # pair of weights of birnn_jax -> its parameters
    apply: Callable[..., Any]  # (params, xs, lengths) -> ys [B, T, 2H]; of noise, a `key`, too
    holds_params: bool = False  # the program has them, as a session or a module does


class Program(NamedTuple):
    """A point in a framework, compiled and ready to run."""

    call: Callable[[], Any]  # computes, and waits until it is done
    results: Callable[[], dict]  # what a call computes, as `_weights.flatten` reads it
    facts: dict  # compile_s, temp_bytes and the like


class Candidate(NamedTuple):
    """A row of the tables."""

    module: str
    settings: dict = {}  # noqa: RUF012
    environment: dict = {}  # noqa: RUF012
    is_int8: bool = False  # weights of 8 bits: results are compared less strictly
    is_base: bool = False  # measures the plain cell that the point's is compared with

    def measured(self, point: Point) -> Point:
        """What it measures when asked for `point`."""
        return point.base() if self.is_base else point

    def checked(self, point: Point) -> Point:
        """What its results are compared at: our noise is the reference's, that of others is not."""
        return point if self.module == "birnn" else point.without_noise()


def _ours(residuals: str = "auto", backend: str = "auto", **plan: Any) -> Candidate:
    backend = "xla" if plan else backend  # the plan is that of the loops of XLA
    return Candidate("birnn", {"residuals": residuals, "backend": backend, "plan": plan})


CANDIDATES = {
    "birnn": _ours(),
    "birnn-base": _ours()._replace(is_base=True),
    "birnn-parallel": Candidate("birnn", {"in_parallel": True}),
    "birnn-states": _ours("states"),
    "birnn-chunked": _ours("chunked"),
    "birnn-xla": _ours(backend="xla"),
    "birnn-xla-states": _ours("states", backend="xla"),
    "birnn-xla-gates": _ours("gates", backend="xla"),
    "birnn-gates": _ours("gates"),
    "birnn-prepared": Candidate("birnn", {"prepared": True}),
    "birnn-int8": Candidate("birnn", {"prepared": True, "int8": True}, is_int8=True),
    "birnn-plain": Candidate("birnn", {"plain": True}),
    "birnn-two-chains": _ours(stacked=False),
    "birnn-stacked": _ours(stacked=True),
    "birnn-in-step": _ours(hoisted=False),
    "birnn-hoisted": _ours(block=2**20, hoisted=True),
    "birnn-at-once": _ours(chunk=None),
    "birnn-unroll-1": _ours(block=1, unroll=1),
    "birnn-unroll-4": _ours(block=4, unroll=4),
    "birnn-unroll-32": _ours(block=32, unroll=32),
    "birnn-no-graphs": _ours()._replace(
        environment={"XLA_FLAGS": "--xla_gpu_enable_command_buffer="}
    ),
    "birnn-gpu-kernel": _ours(backend="gpu_kernel"),
    "birnn-tpu-kernel": _ours(backend="tpu_kernel"),
    "torch": Candidate("torch_rnn"),
    "torch-int8": Candidate("torch_rnn", {"int8": True}, is_int8=True),
    "torch-slstm": Candidate("torch_slstm"),
    "torch-loop": Candidate("torch_loop"),
    "flax-linen": Candidate("flax_linen", {"optimized": True}),
    "flax-linen-default": Candidate("flax_linen", {"optimized": False}),
    "flax-nnx": Candidate("flax_nnx"),
    "flax-written": Candidate("flax_written"),
    "haiku": Candidate("haiku_rnn"),
    "equinox": Candidate("equinox_rnn"),
    "equinox-written": Candidate("equinox_written"),
    "keras": Candidate("keras_rnn", environment={"KERAS_BACKEND": "jax"}),
    "onnxruntime": Candidate("onnx_runtime"),
    "onnxruntime-int8": Candidate("onnx_runtime", {"int8": True}, is_int8=True),
    "openvino": Candidate("open_vino"),
    "jax-cudnn": Candidate("jax_cudnn"),
}
