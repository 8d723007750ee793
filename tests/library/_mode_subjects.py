"""What the modes of JAX are tried on: cells, layers and stacks on small random arguments.

A subject is `run(whole, rows)`: `whole` are parameters, the leaves of `rows` begin with the axis of
rows, and so do those of the result, unless they are scalars that add up over rows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import birnn_jax
from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, Mask, Segments, cells, inspection, streaming
from birnn_jax import linen as birnn_linen
from birnn_jax import nnx as birnn_nnx
from tests.library._cases import CLOCKED, random_cell, random_like, random_xs

B, T, D, H, K, N = 4, 5, 6, 8, 3, 2  # rows, features and units are shared by two devices
LENGTHS = np.array([5, 2, 0, 4], np.int32)
VALID = np.arange(T) < LENGTHS[:, None]
GAPS = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0] * 5, [1] * 5], bool)
IDS = np.array([[1, 1, 2, 2, 0], [0, 3, 3, 3, 1], [0] * 5, [1, 2, 3, 4, 5]], np.int32)
SIZES = {"input_size": D, "hidden_size": H}


class Subject(NamedTuple):
    """A function, its arguments, and where they are valid."""

    run: Callable[[Any, Any], Any]
    whole: Any
    rows: dict[str, Any]
    valid: np.ndarray = VALID  # [B, T]
    is_random: bool = False  # draws from rows["key"]
    has_grad: bool = True


def keys():
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), jnp.arange(B))


def make_rows(seed=0, size=D, **more):
    return {"xs": random_xs(seed, B, T, size), "lengths": jnp.asarray(LENGTHS), **more}


def init(function, *args, **kwargs):
    """Random parameters of the shapes that a function of the library makes."""
    key = jax.random.key(0)
    return random_like(jax.eval_shape(lambda key: function(*args, key, **kwargs), key), 7, None)


def make_pair(cell, dtype="float32"):
    pair = cell if isinstance(cell, Bi) else Bi(cell, cell)
    return Bi(*(random_cell(c, 10 + i, **SIZES, dtype=dtype)[0] for i, c in enumerate(pair)))


def make_carries(cell, size=H):
    return Bi(*(random_cell(cell, i, hidden_size=size, batch_size=B)[1] for i in (1, 4)))


def of_cell(cell, **options):
    def run(params, rows):
        return birnn_jax.bidirectional(
            cell, params, rows["xs"], rows.get("lengths"), key=rows.get("key"), **options
        )

    return run


MORE_CELLS = """
    GRU_RESET_BEFORE INDRNN PEEPHOLE_LSTM LAYER_NORM_LSTM_BA LAYER_NORM_LSTM_TFA LAYER_NORM_GRU_BA
    MINGRU MINLSTM COUPLED_LSTM SLSTM PARA_LSTM
""".split()
CELLS = {"LSTM": LSTM, "GRU": GRU, "ELMAN": ELMAN, "clocked": CLOCKED}
CELLS |= {name: getattr(cells, name) for name in MORE_CELLS}
CELLS |= {
    "PROJECTED_LSTM": cells.PROJECTED_LSTM.with_init(projection_size=4),
    "parallel_MINGRU": cells.parallel(cells.MINGRU),
    "two_cells": Bi(LSTM, cells.GRU_RESET_BEFORE),
}
NOISY = {
    "zoneout": cells.zoneout(LSTM, h=0.3, c=0.2),
    "recurrent_dropout": cells.recurrent_dropout(GRU, 0.4),
    "candidate_dropout": cells.candidate_dropout(cells.PEEPHOLE_LSTM, 0.4),
}
SUBJECTS: dict[str, Subject] = {}


def add(name, run, whole, rows, *more, **options):
    SUBJECTS[name] = Subject(run, whole, rows, *more, **options)


def add_cells():
    for name, cell in CELLS.items():
        add(f"bidirectional_{name}", of_cell(cell), make_pair(cell), make_rows())
    for name, cell in NOISY.items():
        add(name, of_cell(cell), make_pair(cell), make_rows(key=keys()), is_random=True)
    for name in ("LSTM", "GRU_RESET_BEFORE"):
        cell = CELLS[name]
        for residuals in ("gates", "states", "chunked"):
            run = of_cell(cell, residuals=residuals)
            add(f"{residuals}_{name}", run, make_pair(cell), make_rows())
        for kind, steps in ((Mask, GAPS), (Segments, IDS)):

            def run(params, rows, cell=cell, kind=kind):
                return birnn_jax.bidirectional(cell, params, rows["xs"], kind(rows["steps"]))

            rows = {"xs": random_xs(0, B, T, D), "steps": jnp.asarray(steps)}
            add(f"{kind.__name__}_{name}", run, make_pair(cell), rows, steps > 0)

        def scan(params, rows, cell=cell):
            xs, lengths, carry = rows["xs"], rows["lengths"], rows["carry"]
            return birnn_jax.scan_cell(cell, params, xs, lengths, initial_carry=carry, reverse=True)

        params, carry = random_cell(cell, 10, **SIZES, batch_size=B)
        add(f"scan_cell_{name}", scan, params, make_rows(carry=carry))
    cell = cells.parallel(cells.PARA_LSTM)
    add("newton_PARA_LSTM", of_cell(cell, backend="xla"), make_pair(cell), make_rows())
    add("xla_GRU", of_cell(GRU, backend="xla"), make_pair(GRU), make_rows())
    add("bfloat16_LSTM", of_cell(LSTM), make_pair(LSTM, "bfloat16"), make_rows())
    everything = np.ones_like(VALID)
    add(
        "no_lengths_LSTM", of_cell(LSTM), make_pair(LSTM), {"xs": random_xs(0, B, T, D)}, everything
    )


LAYERS = (
    Layer(LSTM, norm="pre", projection=D, connection="highway", learned_carry=True),
    Layer(cells.GRU_RESET_BEFORE, subsample=2, norm="post", merge="sum"),
    Layer(GRU, direction="fwd", subsample=2, subsample_mode="first", residuals="states"),
)
TWO = (Layer(LSTM), Layer(cells.PEEPHOLE_LSTM))
FORWARDS = (Layer(LSTM, direction="fwd"), Layer(cells.INDRNN, direction="fwd"))


def run_stack(params, rows):
    rates = {"dropout": 0.2, "locked_dropout": 0.2}
    return birnn_jax.stack(LAYERS, params, rows["xs"], rows["lengths"], **rates, key=rows["key"])


def run_classifier(readout):
    layers = (Layer(GRU),)
    return lambda params, rows: birnn_jax.classifier(
        layers, params, rows["xs"], rows["lengths"], readout=readout
    )


def run_step(params, rows):
    carry = streaming.initial_carry(FORWARDS, params, rows["xs"].shape[0])
    return streaming.step(FORWARDS, params, carry, rows["xs"])


def run_carry_over(initial, rows):
    spread = lambda leaf: jnp.broadcast_to(leaf[None], (rows["starts"].shape[0], H))  # noqa: E731
    return streaming.carry_over(rows["carry"], jax.tree.map(spread, initial), rows["starts"])


def run_latency_controlled(params, rows):
    sizes = {"chunk_size": 2, "lookahead": 1}
    return streaming.latency_controlled(TWO, params, rows["xs"], rows["lengths"], **sizes)


def squares(carries, ys):
    del carries
    return jnp.square(ys).sum()


def add_stacks():
    two = init(birnn_jax.init_stack, TWO, **SIZES)
    with_key = make_rows(key=keys())
    add("stack", run_stack, init(birnn_jax.init_stack, LAYERS, **SIZES), with_key, is_random=True)
    lengths_of = lambda _, rows: birnn_jax.stack_lengths(LAYERS, rows["lengths"])  # noqa: E731
    add("stack_lengths", lengths_of, (), make_rows(), has_grad=False)
    turned = lambda _, rows: birnn_jax.stacks.unstack_states(  # noqa: E731
        TWO, birnn_jax.stacks.stack_states(rows["carries"])
    )
    add("stack_states", turned, (), {"carries": (make_carries(LSTM), make_carries(LSTM))})
    add(
        "tagger",
        lambda params, rows: birnn_jax.tagger(TWO, params, rows["xs"], rows["lengths"]),
        init(birnn_jax.init_tagger, TWO, **SIZES, num_classes=K),
        make_rows(),
    )
    for readout in ("final", "mean", "max", "attention"):
        sizes = {**SIZES, "num_classes": K, "readout": readout}
        params = init(birnn_jax.init_classifier, (Layer(GRU),), **sizes)
        add(f"classifier_{readout}", run_classifier(readout), params, make_rows())
    add("latency_controlled", run_latency_controlled, two, make_rows())
    forwards = init(birnn_jax.init_stack, FORWARDS, **SIZES)
    add("streaming_step", run_step, forwards, {"xs": random_xs(0, B, D)}, np.ones(B, bool))
    starts = jnp.array([True, False, False, True])
    initial = jax.tree.map(lambda leaf: leaf[0], make_carries(LSTM).bwd)
    add("carry_over", run_carry_over, initial, {"carry": make_carries(LSTM).fwd, "starts": starts})
    for name, more in (
        ("trace", {}),
        ("gradient_norms", {"loss_fn": squares}),
        ("jacobian_norms", {}),
    ):
        look = getattr(inspection, name)

        def run(params, rows, look=look, more=more):
            return look(TWO, params, rows["xs"], rows["lengths"], **more)

        add(name, run, two, make_rows(), has_grad=name == "trace")

    layer = birnn_linen.Stack(TWO, hidden_size=H)
    variables = init(lambda key: layer.init(key, random_xs(0, B, T, D)))
    run_linen = lambda params, rows: layer.apply(params, rows["xs"], rows["lengths"])  # noqa: E731
    add("linen", run_linen, variables, make_rows())
    graph, params = nnx.split(birnn_nnx.Stack(TWO, **SIZES, rngs=nnx.Rngs(0)))
    run_nnx = lambda params, rows: nnx.merge(graph, params)(rows["xs"], rows["lengths"])  # noqa: E731
    add("nnx", run_nnx, random_like(params, 7, None), make_rows())


add_cells()
add_stacks()
