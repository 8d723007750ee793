"""Haiku and Equinox: cells both ways, forward and in reverse."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import pytest

from birnn_jax import GRU, LSTM, Bi, Layer
from birnn_jax.cells import GRU_RESET_BEFORE, elman
from birnn_jax.interop.equinox import (
    from_equinox,
    states_from_equinox,
    states_to_equinox,
    to_equinox,
)
from birnn_jax.interop.haiku import from_haiku, states_from_haiku, states_to_haiku, to_haiku

from ._stacks import B, D, H, T, assert_close, random_batch, random_params, run

HAIKU = [(hk.LSTM, LSTM), (hk.GRU, GRU_RESET_BEFORE), (hk.VanillaRNN, elman(jax.nn.relu))]


@pytest.mark.parametrize(("core", "cell"), HAIKU)
def test_exported_haiku_params_compute_the_same(core, cell, rng):
    layers = (Layer(cell),)
    params = random_params(layers, rng)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial, lengths=None)

    def unroll(xs, states):
        return [
            hk.dynamic_unroll(core(H, name=name), xs, state, time_major=False, reverse=reverse)
            for name, state, reverse in zip(["a", "b"], states, [False, True], strict=True)
        ]

    names = [Bi("a", "b")]
    exported = to_haiku(layers, params, names)
    (fwd, state_fwd), (bwd, state_bwd) = hk.without_apply_rng(hk.transform(unroll)).apply(
        exported, xs, states_to_haiku(initial)[0]
    )
    assert_close(jnp.concatenate([fwd, bwd], axis=-1), ys)
    assert_close(states_from_haiku(layers, [(state_fwd, state_bwd)]), final)
    assert_close(from_haiku(exported, names)[1], params)


def test_haiku_params_of_its_own_names_come_in():
    def model(xs):
        core = hk.LSTM(H)
        return hk.dynamic_unroll(core, xs, core.initial_state(B), time_major=False)[0]

    xs = jax.random.normal(jax.random.key(0), (B, T, D), jnp.float32)
    params = hk.transform(model).init(jax.random.key(1), xs)
    layers, ours = from_haiku(params, ["lstm"])
    _, ys = run(layers, ours, xs, None, lengths=None)
    want = hk.without_apply_rng(hk.transform(model)).apply(params, xs)
    assert_close(ys, want, {"rtol": 1e-4, "atol": 1e-5})  # float32


@pytest.mark.parametrize("cell", [GRU, LSTM], ids=["gru", "lstm"])
def test_exported_equinox_cells_compute_the_same(cell, rng):
    layers = (Layer(cell),)
    params = random_params(layers, rng)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial, lengths=None)

    def scan(made, xs, state, reverse):
        def body(state, x):
            state = made(x, state)
            return state, state[0] if isinstance(state, tuple) else state

        return jax.lax.scan(body, state, xs, reverse=reverse)

    (cells,) = to_equinox(layers, params)
    states, outputs = [], []
    for made, state, reverse in zip(
        cells, states_to_equinox(initial)[0], [False, True], strict=True
    ):
        state, one = jax.vmap(lambda x, s, m=made, r=reverse: scan(m, x, s, r))(
            xs, jax.tree.map(jnp.asarray, state)
        )
        states.append(state)
        outputs.append(one)
    assert_close(jnp.concatenate(outputs, axis=-1), ys)
    assert_close(states_from_equinox(layers, [tuple(states)]), final)
    assert_close(from_equinox([cells])[1], params)


def test_equinox_cells_without_bias_come_in(rng):
    cell = eqx.nn.GRUCell(D, H, use_bias=False, dtype=jnp.float64, key=jax.random.key(0))
    layers, params = from_equinox([cell])
    x, h = jnp.asarray(rng.normal(size=D)), jnp.asarray(rng.normal(size=H))
    (final,), _ = run(layers, params, x[None, None], None, lengths=None)
    want = jax.vmap(cell)(x[None], jnp.zeros([1, H]))
    assert_close(final.h, want)
    assert h.shape == (H,)
