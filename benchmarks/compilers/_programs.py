"""The programs that are compiled: a layer, a stack or a training step, of the library or a peer."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from benchmarks._points import GPU_SHAPES, STANDARD

SMALL = (32, 128, 128, 256)
_PEERS = {"ELMAN": "SimpleCell", "GRU": "GRUCell", "LSTM": "OptimizedLSTMCell"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """One program to compile."""

    framework: Literal["birnn", "flax-linen"] = "birnn"
    cell: str = "LSTM"
    shape: tuple[int, int, int, int] = SMALL  # B, T, D, H; B on each device
    work: Literal["forward", "train", "step"] = "train"  # "step" with clipping and Adam
    dtype: Literal["float32", "bfloat16"] = "float32"
    lengths: bool = False
    segments: bool = False
    residuals: Literal["auto", "gates", "states", "chunked"] = "auto"
    backend: Literal["auto", "tpu_kernel", "gpu_kernel"] = "auto"
    layers: int = 1
    devices: int = 1

    def __str__(self) -> str:
        marks = {
            self.dtype: self.dtype != "float32",
            "lengths": self.lengths,
            "segments": self.segments,
            self.residuals: self.residuals != "auto",
            self.backend: self.backend != "auto",
            f"{self.layers} layers": self.layers > 1,
            f"{self.devices} devices": self.devices > 1,
        }
        words = [self.framework, self.cell, ",".join(map(str, self.shape)), self.work]
        return " ".join([*words, *(mark for mark, is_so in marks.items() if is_so)])


def quick() -> Iterator[Program]:
    """In minutes: both works at a small shape, beside Flax."""
    shape = (8, 16, 16, 32)
    for framework in ("birnn", "flax-linen"):
        for work in ("forward", "train"):
            yield Program(framework=framework, work=work, shape=shape)
    yield Program(shape=shape, lengths=True)
    yield Program(shape=shape, devices=16, work="step")


def cells() -> Iterator[Program]:
    """Every cell, beside those that Flax has."""
    names = "ELMAN INDRNN GRU GRU_RESET_BEFORE LAYER_NORM_GRU_BA LSTM PEEPHOLE_LSTM COUPLED_LSTM"
    names += " PROJECTED_LSTM LAYER_NORM_LSTM_BA LAYER_NORM_LSTM_TFA MINGRU MINLSTM"
    for work in ("forward", "train"):
        for cell in names.split():
            yield Program(cell=cell, work=work)
        for cell in _PEERS:
            yield Program(framework="flax-linen", cell=cell, work=work)


def options() -> Iterator[Program]:
    """What changes kernels and memory at one shape: dtypes, lengths, residuals, layers."""
    for cell in ("GRU", "LSTM"):
        for dtype in ("float32", "bfloat16"):
            for lengths in (False, True):
                for work in ("forward", "train"):
                    yield Program(cell=cell, work=work, dtype=dtype, lengths=lengths)
    yield Program(residuals="gates")
    yield Program(residuals="states")
    yield Program(residuals="chunked")
    yield Program(layers=3)
    yield Program(work="step")


def shapes() -> Iterator[Program]:
    """The standard shapes and those for GPUs, beside Flax."""
    for shape in (*STANDARD, *GPU_SHAPES):
        for work in ("forward", "train"):
            for framework in ("birnn", "flax-linen"):
                yield Program(framework=framework, shape=shape, work=work)


def parallel() -> Iterator[Program]:
    """A training step on 16 and 256 devices, rows shared out."""
    for devices in (16, 256):
        yield Program(work="step", devices=devices)
        yield Program(work="step", devices=devices, lengths=True)


def tpu_kernel() -> Iterator[Program]:
    """One launch for all steps, which is for TPUs.

    What only a forward pass has is in the first three programs.
    """
    for cell in ("ELMAN", "GRU", "LSTM"):
        yield Program(backend="tpu_kernel", cell=cell, work="forward", dtype="bfloat16")
    for cell in ("ELMAN", "GRU", "LSTM", "SLSTM"):
        yield Program(backend="tpu_kernel", cell=cell, lengths=True)
    yield Program(backend="tpu_kernel", segments=True)
    yield Program(backend="tpu_kernel", shape=(32, 127, 128, 256))  # steps that no block divides
    yield Program(backend="tpu_kernel")
    for shape in ((64, 100, 300, 512), (64, 1024, 512, 512), (16, 1024, 768, 768)):
        yield Program(backend="tpu_kernel", shape=shape, dtype="bfloat16")


def gpu_kernel() -> Iterator[Program]:
    """One launch for all steps, which is for Hopper GPUs."""
    for dtype in ("float32", "bfloat16"):
        for cell in ("ELMAN", "GRU", "LSTM"):
            for work in ("forward", "train"):
                yield Program(backend="gpu_kernel", cell=cell, work=work, dtype=dtype)
    yield Program(backend="gpu_kernel", dtype="bfloat16", lengths=True)
    yield Program(backend="gpu_kernel", shape=(32, 128, 128, 128), dtype="bfloat16")
    for cell in ("ELMAN", "GRU", "LSTM"):
        shape = (64, 100, 300, 512)
        yield Program(backend="gpu_kernel", cell=cell, shape=shape, dtype="bfloat16")


SUITES: dict[str, Callable[[], Iterator[Program]]] = {
    suite.__name__: suite
    for suite in (
        *(quick, cells, options, shapes, parallel),
        *(tpu_kernel, gpu_kernel),
    )
}


# Those by a kernel for one platform: on another one they are the loops of XLA once more.
_PLATFORMS = {"tpu_kernel": "tpu", "gpu_kernel": "cuda"}


def of_suites(names: Iterable[str], platform: str) -> list[Program]:
    """The programs of some suites for a platform, each once."""
    programs = dict.fromkeys(program for name in names for program in SUITES[name]())
    return [p for p in programs if _PLATFORMS.get(p.backend, platform) == platform]


def make(program: Program) -> tuple[Callable, tuple[Any, Any, Any]]:
    """The function `f(params, xs, lengths)`, or of a training state, and shapes of its arguments.

    Arguments are `jax.ShapeDtypeStruct`: nothing is computed.
    """
    import jax
    import jax.numpy as jnp

    batch_size, num_steps, input_size, _ = program.shape
    batch_size *= program.devices
    dtype = jnp.dtype(program.dtype)
    xs = jax.ShapeDtypeStruct((batch_size, num_steps, input_size), dtype)
    lengths = jax.ShapeDtypeStruct((batch_size,), jnp.int32) if program.lengths else None
    if program.segments:  # the number of the segment of each step
        lengths = jax.ShapeDtypeStruct((batch_size, num_steps), jnp.int32)
    init, apply = _ours(program) if program.framework == "birnn" else _flax(program)
    params = jax.eval_shape(init)

    def loss(params, xs, lengths):
        ys = apply(params, xs, lengths)
        return jnp.square(ys.astype(jnp.float32)).sum()

    if program.work == "forward":
        return apply, (params, xs, lengths)
    if program.work == "train":
        return jax.value_and_grad(loss, argnums=(0, 1)), (params, xs, lengths)

    import optax

    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))

    def step(state, xs, lengths):
        params, moments = state
        value, grads = jax.value_and_grad(loss)(params, xs, lengths)
        updates, moments = optimizer.update(grads, moments, params)
        return (optax.apply_updates(params, updates), moments), value

    return step, ((params, jax.eval_shape(optimizer.init, params)), xs, lengths)


def _ours(program: Program) -> tuple[Callable, Callable]:
    import jax

    from birnn_jax import Layer, Segments, cells, init_stack, stack

    _, _, input_size, hidden_size = program.shape
    cell = getattr(cells, program.cell)
    if program.cell == "PROJECTED_LSTM":
        cell = cell.with_init(projection_size=hidden_size // 2)
    layers = (Layer(cell, residuals=program.residuals, backend=program.backend),) * program.layers

    def init():
        # In float32, which a backend may refuse: the parameters are the same with every backend.
        plain = [dataclasses.replace(layer, backend="auto") for layer in layers]
        params = init_stack(plain, jax.random.key(0), input_size, hidden_size)
        return jax.tree.map(lambda leaf: leaf.astype(program.dtype), params)

    def apply(params, xs, lengths):
        return stack(layers, params, xs, Segments(lengths) if program.segments else lengths)[1]

    return init, apply


def _flax(program: Program) -> tuple[Callable, Callable]:
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    cell = getattr(nn, _PEERS[program.cell])
    _, _, input_size, hidden_size = program.shape
    layer = nn.Bidirectional(nn.RNN(cell(hidden_size)), nn.RNN(cell(hidden_size)))

    def init():
        params = layer.init(jax.random.key(0), jnp.zeros([1, 1, input_size]))
        return jax.tree.map(lambda leaf: leaf.astype(program.dtype), params)

    return init, lambda params, xs, lengths: layer.apply(params, xs, seq_lengths=lengths)
