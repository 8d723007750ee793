"""flax.linen and flax.nnx: layers both ways, with `seq_lengths`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer
from birnn_jax.interop.linen import from_linen, states_from_linen, states_to_linen, to_linen
from birnn_jax.interop.nnx import from_nnx, states_from_nnx, states_to_nnx, to_nnx
from birnn_jax.stacks import LayerParams

from ._stacks import LENGTHS, D, H, T, assert_close, random_batch, random_params, run

LINEN = [
    (nn.SimpleCell, ELMAN),
    (nn.GRUCell, GRU),
    (nn.LSTMCell, LSTM),
    (nn.OptimizedLSTMCell, LSTM),
]
NNX = [(nnx.SimpleCell, ELMAN), (nnx.GRUCell, GRU), (nnx.OptimizedLSTMCell, LSTM)]
VALID = np.arange(T)[None, :, None] < LENGTHS[:, None, None]
DTYPES = {"dtype": jnp.float64, "param_dtype": jnp.float64}


def nnx_module(cell, *, both=True):
    rnns = [nnx.RNN(cell(D, H, rngs=nnx.Rngs(seed), **DTYPES)) for seed in [0, 1]]
    return nnx.Bidirectional(*rnns, return_carry=True) if both else rnns[0]


@pytest.mark.parametrize(("theirs", "ours"), LINEN)
def test_exported_linen_params_compute_the_same(theirs, ours, rng):
    layers = (Layer(ours), Layer(ours, direction="fwd"))
    params = random_params(layers, rng)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)

    trees, carries = to_linen(layers, params), states_to_linen(initial)
    modules = [nn.Bidirectional(nn.RNN(theirs(H)), nn.RNN(theirs(H))), nn.RNN(theirs(H))]
    finals, hs = [], xs
    for module, tree, carry in zip(modules, trees, carries, strict=True):
        one, hs = module.clone(return_carry=True).apply(
            {"params": tree}, hs, seq_lengths=LENGTHS, initial_carry=carry
        )
        finals.append(one)
    assert_close(np.where(VALID, hs, 0), ys)
    assert_close(states_from_linen(layers, finals), final)


@pytest.mark.parametrize(("theirs", "ours"), NNX)
def test_exported_nnx_params_compute_the_same(theirs, ours, rng):
    layers = (Layer(ours),)
    params = jax.tree.map(jnp.asarray, random_params(layers, rng))
    if ours == GRU:
        without = Bi(*(one._replace(b_hn=jnp.zeros(H)) for one in params[0].rnn))
        params = (LayerParams(without),)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)

    graph, state, rest = nnx.split(nnx_module(theirs), nnx.Param, ...)
    nnx.replace_by_pure_dict(state, to_nnx(layers, params)[0])
    module = nnx.merge(graph, state, rest)
    carry, hs = module(xs, seq_lengths=LENGTHS, initial_carry=states_to_nnx(initial)[0])
    assert_close(np.where(VALID, hs, 0), ys)
    assert_close(states_from_nnx(layers, [carry]), final)


@pytest.mark.parametrize(("theirs", "ours"), [*NNX, (nnx.LSTMCell, LSTM)])
def test_nnx_modules_come_in(theirs, ours, rng):
    both, one = nnx_module(theirs), nnx_module(theirs, both=False)
    layers, params = from_nnx([both])
    assert layers == (Layer(ours),)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)
    carry, hs = both(xs, seq_lengths=LENGTHS, initial_carry=states_to_nnx(initial)[0])
    assert_close(np.where(VALID, hs, 0), ys)
    assert_close(states_from_nnx(layers, [carry]), final)
    assert_close(from_nnx([one])[1][0].rnn, params[0].rnn.fwd)
    assert_close(from_nnx([Bi(both.forward_rnn.cell, both.backward_rnn)])[1], params)


@pytest.mark.parametrize(
    "module",
    [
        nnx.SimpleCell(D, H, residual=True, rngs=nnx.Rngs(0)),
        nnx.SimpleCell(D, H, activation_fn=nnx.relu, rngs=nnx.Rngs(0)),
        nnx.RNN(nnx.GRUCell(D, H, rngs=nnx.Rngs(0)), reverse=True),
        nnx.Bidirectional(
            nnx.RNN(nnx.GRUCell(D, H, rngs=nnx.Rngs(0))),
            nnx.RNN(nnx.GRUCell(D, H, rngs=nnx.Rngs(1))),
            merge_fn=lambda a, b: a + b,
        ),
    ],
    ids=["residual", "activation", "reverse", "merge"],
)
def test_nnx_options_that_weights_do_not_tell_are_refused(module):
    with pytest.raises(ValueError, match="no counterpart here"):
        from_nnx([module])


def test_linen_params_of_cells_in_a_compact_module_come_in():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, xs):
            return nn.Bidirectional(nn.RNN(nn.GRUCell(H)), nn.RNN(nn.GRUCell(H)))(xs)

    xs = jax.random.normal(jax.random.key(0), (2, T, D), jnp.float32)
    variables = Model().init(jax.random.key(1), xs)
    cells = variables["params"]
    layers, params = from_linen([Bi(cells["GRUCell_0"], cells["GRUCell_1"])])
    _, ys = run(layers, params, xs, None, lengths=None)
    assert_close(Model().apply(variables, xs), ys, {"rtol": 1e-5, "atol": 1e-6})  # float32


@pytest.mark.parametrize("framework", ["linen", "nnx"])
def test_flax_carries_padding_into_rows_without_steps(framework):
    xs = jax.random.normal(jax.random.key(1), (1, 3, D), jnp.float32)
    if framework == "linen":
        module = nn.RNN(nn.SimpleCell(H), return_carry=True)
        variables = module.init(jax.random.key(0), xs)
        carry, _ = module.apply(variables, xs, seq_lengths=jnp.array([0]))
    else:
        module = nnx.RNN(nnx.SimpleCell(D, H, rngs=nnx.Rngs(0)), return_carry=True)
        carry, _ = module(xs, seq_lengths=jnp.array([0]))
    assert np.abs(carry).max() > 0.1  # the initial carry is zero
