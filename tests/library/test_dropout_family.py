"""Everything random: what it computes, and that a row's noise depends on nothing but its key."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import birnn_jax.linen
import birnn_jax.nnx
from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, bidirectional, init_stack, scan_cell, stack
from birnn_jax.cells import (
    GRU_RESET_BEFORE,
    INDRNN,
    MINGRU,
    PEEPHOLE_LSTM,
    candidate_dropout,
    parallel,
    recurrent_dropout,
    zoneout,
)
from birnn_jax.cells._noise import add_noise
from birnn_jax.stacks import LayerParams
from tests.library import _oracles
from tests.library._cases import (
    B,
    D,
    H,
    T,
    assert_close,
    assert_equal,
    random_cell,
    random_inputs,
    random_like,
    random_xs,
)
from tests.library._noise import keys_of_rows, recover_mask

RATE = 0.4
NOISY = {
    "zoneout": zoneout(LSTM, h=RATE, c=0.3),
    "zoneout_mingru": zoneout(MINGRU, h=RATE),
    "recurrent": recurrent_dropout(GRU, RATE),
    "candidate": candidate_dropout(LSTM, RATE),
    "all": zoneout(recurrent_dropout(candidate_dropout(GRU, 0.2), 0.3), h=0.1),
}
every_noise = pytest.mark.parametrize("cell", NOISY.values(), ids=NOISY.keys())
each_kind = pytest.mark.parametrize("name", ["zoneout", "recurrent", "candidate"])

jit_scan = jax.jit(scan_cell, static_argnames=("cell", "reverse"))


def _run(cell, params, carry, xs, lengths=None, *, seed=0, reverse=False):
    keys = keys_of_rows(seed)[: xs.shape[0]]
    return jit_scan(cell, params, xs, lengths, initial_carry=carry, reverse=reverse, key=keys)


# Evaluation.


@pytest.mark.parametrize("wrap", [recurrent_dropout, candidate_dropout])
@pytest.mark.parametrize("cell", [LSTM, GRU], ids=["lstm", "gru"])
def test_without_a_key_dropout_is_the_cell(wrap, cell):
    params, carry = random_cell(cell, 1)
    got = jit_scan(wrap(cell, RATE), params, random_xs(), initial_carry=carry)
    assert_close(got, jit_scan(cell, params, random_xs(), initial_carry=carry))


def test_without_a_key_zoneout_takes_the_expectation_of_both_states():
    def expected_step(params, carry, x):
        new, _ = _oracles.lstm_step(params, carry, x)
        h = RATE * carry.h + (1 - RATE) * new.h
        return new._replace(c=0.3 * carry.c + 0.7 * new.c, h=h), h

    params, carry = random_cell(LSTM, 1)
    got = jit_scan(NOISY["zoneout"], params, random_xs(), [T, 2, 0], initial_carry=carry)
    assert_close(got, _oracles.scan(expected_step, params, random_xs(), [T, 2, 0], carry))


@every_noise
def test_at_rate_zero_with_a_key_the_cell_is_unchanged(cell):
    silent = cell._replace(
        step=type(cell.step)(cell.step.step)  # the same step with no rates
    )
    plain = cell._replace(step=cell.step.step)
    params, carry = random_cell(cell, 1)
    assert_close(_run(silent, params, carry, random_xs()), _run(plain, params, carry, random_xs()))


# Training: what one step does.


def _noisy_step(cell, params, carry, x, *, visited=0):
    noisy = add_noise(cell, carry, jax.random.key(7))
    noisy = dataclasses.replace(noisy, visited=jnp.int32(visited))
    new, y = jax.jit(cell.step)(params, noisy, x)
    return new.carry, y


def _one_step(cell):
    params, carry = random_cell(cell, 1, hidden_size=200)
    carry = jax.tree.map(lambda leaf: leaf[0], carry)
    params = params._replace(w_h=0.1 * params.w_h)  # no gate is shut
    return params, carry, random_like(jnp.zeros(D), 2)


def test_zoneout_keeps_old_units_at_its_rates_and_puts_out_what_it_carries():
    params, carry, x = _one_step(LSTM)
    plain, _ = LSTM.step(params, carry, x)
    new, y = _noisy_step(zoneout(LSTM, h=0.7, c=0.3), params, carry, x)
    np.testing.assert_array_equal(y, new.h)
    kept_h, kept_c = new.h == carry.h, new.c == carry.c
    assert_close(jnp.where(kept_h, plain.h, new.h), plain.h)
    assert_close(jnp.where(kept_c, plain.c, new.c), plain.c)
    assert abs(kept_h.mean() - 0.7) < 0.12 and abs(kept_c.mean() - 0.3) < 0.12
    assert (kept_h != kept_c).mean() > 0.48  # 0.58 if drawn apart, 0.4 from one draw


def test_recurrent_dropout_hides_h_from_the_gates_but_not_from_the_update():
    """Every weight but one column's is zero, so that the mask can be read off the candidate."""
    params, carry, x = _one_step(GRU)
    open_gates = params.b.at[:200].set(100.0).at[200:400].set(0.0)
    params = params._replace(
        w_x=jnp.zeros_like(params.w_x),
        w_h=jnp.concatenate([jnp.zeros([200, 400]), 0.1 * jnp.eye(200)], axis=1),
        b=open_gates.at[400:].set(0.0),
        b_hn=jnp.zeros(200),
    )
    new, _ = _noisy_step(recurrent_dropout(GRU, RATE), params, carry, x)
    n = 2 * new.h - carry.h  # z is a half
    mask = recover_mask(10 * jnp.arctanh(n), carry.h)
    dropped = np.isclose(mask, 0, atol=1e-2)
    np.testing.assert_allclose(mask[~dropped], 1 / (1 - RATE), rtol=1e-2)
    assert abs(dropped.mean() - RATE) < 0.12


@pytest.mark.parametrize("cell", [LSTM, PEEPHOLE_LSTM], ids=["lstm", "peephole"])
def test_candidate_dropout_drops_what_is_written_not_what_is_kept(cell):
    params, carry, x = _one_step(cell)
    gates = cell.step.gates(params, carry, x)
    new, _ = _noisy_step(candidate_dropout(cell, RATE), params, carry, x)
    mask = recover_mask(new.c - gates.f * carry.c, gates.i * gates.g)
    dropped = np.isclose(mask, 0, atol=1e-3)
    np.testing.assert_allclose(mask[~dropped], 1 / (1 - RATE), rtol=1e-2)
    assert abs(dropped.mean() - RATE) < 0.12


def test_candidate_dropout_of_a_gru_keeps_what_the_update_gate_keeps():
    params, carry, x = _one_step(GRU)
    gates = GRU.step.gates(params, carry, x)
    new, _ = _noisy_step(candidate_dropout(GRU, RATE), params, carry, x)
    mask = recover_mask(new.h - gates.z * carry.h, (1 - gates.z) * gates.n)
    assert abs(np.isclose(mask, 0, atol=1e-3).mean() - RATE) < 0.12


@pytest.mark.parametrize(
    ("cell", "locked"),
    [
        pytest.param(recurrent_dropout(ELMAN, RATE), True, id="recurrent"),
        pytest.param(candidate_dropout(LSTM, RATE), False, id="candidate"),
        pytest.param(zoneout(LSTM, h=RATE), False, id="zoneout_h"),
        pytest.param(zoneout(LSTM, h=0.0, c=RATE), False, id="zoneout_c"),
    ],
)
def test_only_recurrent_dropout_uses_one_mask_for_all_steps(cell, locked):
    params, carry, x = _one_step(cell)
    first, second = (_noisy_step(cell, params, carry, x, visited=visited)[0] for visited in (0, 1))
    same = all((a == b).all() for a, b in zip(first, second, strict=True))
    assert same == locked


def test_noise_scales_to_the_right_mean():
    """Over many keys, the mean candidate that is written is the one without dropout."""
    params, carry, x = _one_step(LSTM)
    cell = candidate_dropout(LSTM, RATE)

    def c_of(key):
        return cell.step(params, add_noise(cell, carry, key), x)[0].carry.c

    c = jax.jit(lambda keys: jax.vmap(c_of)(keys).mean())(keys_of_rows(3, 400))
    assert abs(c - LSTM.step(params, carry, x)[0].c.mean()) < 0.01


def test_zoneout_draws_anew_at_every_step_of_a_scan():
    """From one draw for all steps, half of the units would never leave the initial carry."""
    params, carry = random_cell(LSTM, 1, hidden_size=200)
    _, ys = _run(zoneout(LSTM, h=0.5), params, carry, random_xs())
    never_moved = (ys == carry.h[:, None]).all(axis=1).mean()
    assert never_moved < 0.1  # 2**-5 in the mean


# Training: what the noise of a row depends on.


@each_kind
def test_noise_does_not_depend_on_padding_or_on_the_batch(name):
    cell, reverse = NOISY[name], name == "candidate"
    params, carry = random_cell(cell, 1)
    xs, lengths = random_xs(), jnp.array([T, 2, 3])
    run = functools.partial(_run, cell, params, reverse=reverse)
    want_carry, want_ys = run(carry, xs, lengths)
    longer = jnp.concatenate([xs, jnp.full([B, 3, D], jnp.nan)], axis=1)
    assert_equal(run(carry, longer, lengths)[0], want_carry)
    row = jax.tree.map(lambda leaf: leaf[1:2], (carry, xs, want_carry, want_ys))
    alone = jit_scan(
        cell, params, row[1][:, :2], initial_carry=row[0], reverse=reverse, key=keys_of_rows()[1:2]
    )
    assert_close(alone, (row[2], row[3][:, :2]))


@each_kind
def test_noise_depends_on_the_key_the_row_and_the_direction(name):
    cell = NOISY[name]
    params, _ = random_cell(cell, 1)
    xs = jnp.broadcast_to(random_xs()[:1, :1], [2, T, D])
    key = jax.random.key(0)

    def outputs(key, reverse=False):
        return jit_scan(cell, params, xs, reverse=reverse, key=key)[1]

    first = outputs(key)
    assert (first != outputs(jax.random.key(1))).any()
    assert (first[0] != first[1]).any()
    assert (first != outputs(jax.random.key(0), reverse=True)[:, ::-1]).any()
    assert_equal(outputs(jax.random.key(0)), first)
    keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(0)))(jnp.arange(2))
    assert_equal(outputs(keys), first)


def test_layers_of_a_stack_draw_different_noise():
    """Tied layers that add nothing of their own, so that only the noise can differ."""
    layer = Layer(recurrent_dropout(ELMAN, 0.5), direction="fwd")
    _, carry = random_cell(ELMAN, 1, batch_size=1, hidden_size=200)
    eye = ELMAN.init(jax.random.key(0), 200, 200)._replace(
        w_x=jnp.zeros([200, 200]), w_h=jnp.eye(200)
    )
    carries, _ = jax.jit(stack, static_argnames=("layers", "dropout"))(
        (layer,) * 2,
        [LayerParams(eye)] * 2,
        jnp.zeros([1, 1, 200]),
        initial_carry=[carry] * 2,
        dropout=0.5,
        key=jax.random.key(5),
    )
    first, second = (one.h[0] != 0 for one in carries)
    assert 0.35 < first.mean() < 0.65 and 0.35 < (first != second).mean() < 0.65


def test_a_stack_takes_it_in_every_position_and_compiles_with_gradients():
    cell = NOISY["all"]
    layers = (Layer(Bi(cell, LSTM)), Layer(cell, direction="bwd"))
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)

    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(params, key):
        carries, ys = stack(layers, params, random_xs(), jnp.array([T, 2, 0]), key=key)
        return ys.sum(), (carries, ys)

    (_, (carries, ys)), grads = jax.jit(run)(params, jax.random.key(1))
    assert type(carries[0].fwd) is type(cell.init_carry(params[0].rnn.fwd))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert not ys[1, 2:].any()


def test_both_directions_of_a_pair_draw_their_own_noise():
    inputs = random_inputs(LSTM)
    cell = recurrent_dropout(LSTM, 0.5)
    tied = Bi(inputs.params.fwd, inputs.params.fwd)
    xs = jnp.broadcast_to(inputs.xs[:, :1], inputs.xs.shape)  # reads the same in both directions
    run = jax.jit(functools.partial(bidirectional, cell, merge="none"))
    _, ys = run(tied, xs, key=jax.random.key(0))
    assert (ys.fwd != ys.bwd[:, ::-1]).any()
    _, ys = run(tied, xs)
    assert_close(ys.fwd, ys.bwd[:, ::-1])


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_flax_layers_hand_their_keys_to_the_noise(kind):
    """Without dropout between layers: the noise alone must be enough to ask for a key."""
    layers = (Layer(NOISY["recurrent"]),)
    key, xs = jax.random.key(4), random_xs()
    if kind == "linen":
        stacked = birnn_jax.linen.Stack(layers, hidden_size=H)
        variables = stacked.init(jax.random.key(0), xs, deterministic=True)
        like = jax.eval_shape(lambda: init_stack(layers, key, input_size=D, hidden_size=H))
        params = birnn_jax.linen.from_dicts(like, variables["params"]["rnn"])
        call = functools.partial(stacked.apply, variables, xs)
        noisy = call(deterministic=False, rngs={"dropout": key})[1]
        single = birnn_jax.linen.Bidirectional(NOISY["recurrent"], hidden_size=H)
        one = single.apply({"params": {"rnn": params[0].rnn}}, xs, key=jax.random.key(4))[1]
    else:
        stacked = birnn_jax.nnx.Stack(layers, input_size=D, hidden_size=H, rngs=nnx.Rngs(0))
        params = nnx.as_pure(stacked.rnn)
        call = functools.partial(stacked, xs)
        noisy = call(rngs=key)[1]
        single = birnn_jax.nnx.Bidirectional(
            NOISY["recurrent"], input_size=D, hidden_size=H, rngs=nnx.Rngs(0)
        )
        single.rnn = stacked.rnn[0].rnn
        one = single(xs, key=jax.random.key(4))[1]
    quiet = stack(layers, params, xs)[1]
    assert_close(call(deterministic=True)[1], quiet)
    assert (noisy != quiet).any()
    want = bidirectional(NOISY["recurrent"], params[0].rnn, xs, key=jax.random.key(4))[1]
    assert_close(one, want)


# Wrappers as values.


def test_wrappers_commute_compare_and_replace_their_own_rate():
    one = zoneout(recurrent_dropout(LSTM, 0.2), h=0.1, c=0.3)
    assert one == recurrent_dropout(zoneout(LSTM, h=0.1, c=0.3), 0.2)
    assert hash(one) == hash(recurrent_dropout(zoneout(LSTM, h=0.1, c=0.3), 0.2))
    assert recurrent_dropout(one, 0.5) == recurrent_dropout(zoneout(LSTM, h=0.1, c=0.3), 0.5)
    assert one.with_init(forget_bias=2.0) == zoneout(
        recurrent_dropout(LSTM.with_init(forget_bias=2.0), 0.2), h=0.1, c=0.3
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zoneout(LSTM, h=1.0), "zoneout_h must be at least 0 and below 1"),
        (lambda: recurrent_dropout(LSTM, -0.1), "recurrent must be at least 0"),
        (lambda: recurrent_dropout(MINGRU, 0.1), "whose step is a GatedStep"),
        (lambda: candidate_dropout(MINGRU, 0.1), "whose step is a GatedStep"),
        (lambda: zoneout(parallel(MINGRU), h=0.1), "in parallel has no steps"),
        (lambda: parallel(zoneout(MINGRU, h=0.1)), "linear in its state"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("cell", "field"),
    [
        pytest.param(zoneout(GRU, h=0.0, c=0.1), "c", id="gru"),
        pytest.param(candidate_dropout(ELMAN, 0.1), "n", id="elman"),
        pytest.param(candidate_dropout(INDRNN, 0.1), "n", id="indrnn"),
    ],
)
@pytest.mark.parametrize("key", [None, 0], ids=["evaluation", "training"])
def test_noise_on_what_a_cell_does_not_have_is_refused(cell, field, key):
    params, _ = random_cell(cell, 1)
    key = None if key is None else jax.random.key(key)
    with pytest.raises(ValueError, match=f"needs a field {field}"):
        scan_cell(cell, params, random_xs(), key=key)


def test_recurrent_dropout_reaches_the_second_product_of_a_gru_with_reset_before():
    params, carry = random_cell(GRU_RESET_BEFORE, 1)
    gates_off = params._replace(w_h=params.w_h.at[:, : 2 * H].set(0.0))
    one, other = (
        _run(recurrent_dropout(GRU_RESET_BEFORE, rate), gates_off, carry, random_xs())[1]
        for rate in (0.0, 0.5)
    )
    assert (one != other).any()
