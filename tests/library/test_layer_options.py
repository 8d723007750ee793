"""What stands around the recurrences of a stack: against loops, under lengths, with gradients."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, Mask, Segments, init_stack, stack, stack_lengths
from tests.library import _layer_oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    PADDING,
    STEPS,
    B,
    D,
    H,
    T,
    assert_close,
    assert_equal,
    random_like,
    random_xs,
    weigh,
)

EVERYTHING = (
    Layer(Bi(GRU, ELMAN), norm="post", projection=3),
    Layer(ELMAN, subsample=2, norm="pre", projection=6, connection="residual"),
    Layer(
        LSTM,
        direction="bwd",
        subsample=2,
        subsample_mode="first",
        norm="post",
        projection=6,
        connection="highway",
    ),
)
WIDTHS = (Bi(4, 8), Bi(H, 2), 5)

# Each option by itself: a layer of H units that reads H features.
ALONE = {
    "residual": Layer(ELMAN, merge="sum", connection="residual"),
    "highway": Layer(ELMAN, merge="mean", connection="highway"),
    "pre": Layer(GRU, direction="fwd", norm="pre"),
    "post": Layer(LSTM, direction="bwd", norm="post"),
    "projection": Layer(ELMAN, projection=4),
    "concat": Layer(ELMAN, subsample=2),
    "concat of one direction": Layer(CLOCKED, direction="bwd", subsample=3),
    "first": Layer(ELMAN, subsample=2, subsample_mode="first"),
    "more than there are": Layer(ELMAN, subsample=T + 2),
}
STACKS = {name: ((layer,), H, H) for name, layer in ALONE.items()}
STACKS |= {
    "everything": (EVERYTHING, D, WIDTHS),
    "alternating": ((Layer(ELMAN, direction="fwd"), Layer(ELMAN, direction="bwd")) * 2, D, H),
}

run = jax.jit(stack, static_argnames=("layers", "dropout", "locked_dropout"))


def random_stack(layers, hidden_size, *, input_size=D, dtype="float32"):
    """Random parameters, and random carries for every layer."""
    init = functools.partial(init_stack, layers, input_size=input_size, hidden_size=hidden_size)
    params = random_like(jax.eval_shape(lambda: init(jax.random.key(0))), 1, dtype)
    xs = random_xs(0, B, T, input_size)
    carries, _ = jax.eval_shape(functools.partial(stack, layers), params, xs)
    return params, random_like(carries, 2, dtype)


def new_stack(layers, hidden_size, *, input_size=D):
    """Parameters as they are at the start."""
    key = jax.random.key(0)
    return init_stack(layers, key, input_size=input_size, hidden_size=hidden_size)


def _steps(layers):
    def of_layer(layer):
        if layer.direction != "both":
            return STEPS[layer.cell]
        cells = layer.cells
        return [STEPS[cell] for cell in cells]

    return [of_layer(layer) for layer in layers]


def _row(tree, b):
    return jax.tree.map(lambda leaf: leaf[b], tree)


@pytest.mark.parametrize("case", STACKS.values(), ids=STACKS.keys())
def test_stack_with_options_matches_loop_on_ragged_batch(case):
    layers, size, hidden_size = case
    params, carries = random_stack(layers, hidden_size, input_size=size)
    xs = random_xs(0, B, T, size)
    got, ys = run(layers, params, xs, LENGTHS, initial_carry=carries)
    want = _layer_oracles.stack(layers, _steps(layers), params, xs, LENGTHS, carries)
    for b, (carry, row) in enumerate(want):
        assert_close(jax.tree.leaves(_row(got, b)), jax.tree.leaves(carry))
        assert_close(ys[b, : len(row)], np.reshape(row, [len(row), ys.shape[-1]]))
        assert_equal(ys[b, len(row) :], jnp.zeros_like(ys[b, len(row) :]))
    assert ys.shape[1] == len(want[0][1])
    assert [len(row) for _, row in want] == stack_lengths(layers, LENGTHS).tolist()


def check_gradients(loss, *args):
    """Along a random direction, by one compiled function; no gradient is zero."""
    run = jax.jit(jax.value_and_grad(loss, tuple(range(len(args)))))
    direction, step = random_like(args, 9, "float64"), 1e-6
    ends = [
        run(*jax.tree.map(lambda leaf, by, to=to: leaf + to * by, args, direction))[0]
        for to in (step, -step)
    ]
    _, grads = run(*args)
    products = jax.tree.map(lambda grad, by: (grad * by).sum(), grads, direction)
    slope = sum(jax.tree.leaves(products))
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), slope, rtol=1e-7)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(grads))


def test_gradients_with_options_match_finite_differences(x64):
    params, carries = random_stack(EVERYTHING, WIDTHS, dtype="float64")

    def loss(params, xs, carries):
        return weigh(stack(EVERYTHING, params, xs, LENGTHS, initial_carry=carries))

    check_gradients(loss, params, random_xs(dtype="float64"), carries)


@pytest.mark.parametrize("option", ALONE)
def test_option_changes_the_output(option):
    layer, xs = ALONE[option], random_xs(0, B, T, H)
    plain = Layer(layer.cell, direction=layer.direction, merge=layer.merge)
    ys, without = (
        run((one,), new_stack((one,), H, input_size=H), xs, LENGTHS)[1] for one in (layer, plain)
    )
    assert ys.shape != without.shape or not jnp.allclose(ys, without, atol=1e-2)


# Padding, rows and lengths.


@functools.partial(jax.jit, static_argnames="layers")
def outputs_and_grads(layers, params, xs, lengths):
    def loss(params, xs):
        outputs = stack(layers, params, xs, lengths)
        return weigh(outputs), outputs

    (_, outputs), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, xs)
    return outputs, grads


@pytest.mark.parametrize("filling", [1e6, np.nan])
def test_padding_content_is_irrelevant_with_options(filling):
    params, _ = random_stack(EVERYTHING, WIDTHS)
    want = outputs_and_grads(EVERYTHING, params, random_xs(), LENGTHS)
    xs = jnp.where(PADDING[..., None], jnp.float32(filling), random_xs())
    got = outputs_and_grads(EVERYTHING, params, xs, LENGTHS)
    assert_equal(got, want)
    assert not got[1][1][PADDING].any()


@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_padding_of_the_input_does_not_pass_a_connection(connection):
    """There is no recurrence before it that would clear it."""
    layers = (Layer(GRU, projection=D, connection=connection),)
    params, _ = random_stack(layers, H)
    xs = jnp.where(PADDING[..., None], jnp.nan, random_xs())
    got = outputs_and_grads(layers, params, xs, LENGTHS)
    assert_equal(got, outputs_and_grads(layers, params, random_xs(), LENGTHS))
    assert not got[0][1][PADDING].any()


def test_row_of_batch_equals_row_alone_with_options():
    params, carries = random_stack(EVERYTHING, WIDTHS)
    lengths = np.array([T, 3, 0])
    got, ys = run(EVERYTHING, params, random_xs(), lengths, initial_carry=carries)
    alone, ys_alone = run(
        EVERYTHING,
        params,
        random_xs()[1:2, :3],
        initial_carry=jax.tree.map(lambda leaf: leaf[1:2], carries),
    )
    assert_close(alone, jax.tree.map(lambda leaf: leaf[1:2], got))
    assert_close(ys_alone, ys[1:2, : ys_alone.shape[1]])


def test_length_zero_keeps_every_carry_with_options():
    params, carries = random_stack(EVERYTHING, WIDTHS)
    got, ys = run(EVERYTHING, params, random_xs(), LENGTHS, initial_carry=carries)
    assert_equal(_row(got, 2), _row(carries, 2))
    assert not ys[2].any()


def test_length_above_the_number_of_steps_counts_as_all_of_them():
    params, _ = random_stack(EVERYTHING, WIDTHS)
    lengths = np.array([T, 2**31 - 1, T + 1], np.int32)
    got = run(EVERYTHING, params, random_xs(), lengths)
    assert_close(got, run(EVERYTHING, params, random_xs()))


def test_no_steps_at_all_keep_every_carry_with_options():
    params, carries = random_stack(EVERYTHING, WIDTHS)
    got, ys = run(EVERYTHING, params, random_xs()[:, :0], initial_carry=carries)
    assert_equal(got, carries)
    assert ys.shape == (B, 0, 6)


def test_outputs_have_the_dtype_of_the_parameters():
    layers = (Layer(ELMAN, norm="pre", projection=H, connection="highway"),)
    params, _ = random_stack(layers, H, input_size=H, dtype="bfloat16")
    carries, ys = run(layers, params, random_xs(0, B, T, H), LENGTHS)
    assert ys.dtype == jnp.bfloat16 and carries[0].fwd.h.dtype == jnp.float32
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params)
    _, want = run(layers, params, random_xs(0, B, T, H), LENGTHS)
    np.testing.assert_allclose(ys.astype("float32"), want, atol=0.15)


def test_dropout_falls_on_what_a_connection_hands_on():
    """The layer above adds nothing of its own: what it hands on is what was dropped."""
    layers = (Layer(GRU), Layer(ELMAN, merge="sum", connection="residual"))
    params, _ = random_stack(layers, [4, 8])
    params = (params[0], jax.tree.map(jnp.zeros_like, params[1]))
    _, ys = run(layers, params, random_xs(), dropout=0.5, key=jax.random.key(1))
    _, below = run(layers[:1], params[:1], random_xs())
    dropped = ys == 0
    assert 0.3 < dropped.mean() < 0.7
    assert_close(ys, jnp.where(dropped, 0, 2 * below))


# Fewer steps.


def test_mask_equals_the_visited_steps_cut_out_with_options():
    params, _ = random_stack(EVERYTHING, WIDTHS)
    valid = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    got, grads = outputs_and_grads(EVERYTHING, params, random_xs(), Mask(valid))
    cut = np.zeros([B, T, D], np.float32)
    for b, row in enumerate(valid):
        cut[b, : row.sum()] = random_xs()[b, row]
    want, grads_want = outputs_and_grads(EVERYTHING, params, cut, valid.sum(axis=1))
    assert_close(got, want)
    for b, row in enumerate(valid):
        assert_close(grads[1][b, row], grads_want[1][b, : row.sum()])
    assert not grads[1][~valid].any()
    lengths = stack_lengths(EVERYTHING, Mask(valid))
    assert_equal(lengths, stack_lengths(EVERYTHING, valid.sum(axis=1, dtype=np.int32)))


def test_mask_stays_where_it_is_without_subsampling():
    layers = (Layer(ELMAN, projection=D, connection="residual"),)
    mask = Mask(np.array([[0, 1, 0, 1, 1]] * B, bool))
    params, _ = random_stack(layers, H)
    _, ys = run(layers, params, random_xs(), mask)
    assert stack_lengths(layers, mask) is mask
    assert_equal(ys[:, [0, 2]], jnp.zeros_like(ys[:, [0, 2]]))
    assert (ys[:, [1, 3, 4]] != 0).all()


def test_segments_are_computed_as_if_alone_with_options():
    layers = (Layer(ELMAN, norm="pre", projection=D, connection="highway", learned_carry=True),)
    params, _ = random_stack(layers, H)
    segments = Segments(np.array([[4, 4, 9, 9, 9], [3, 3, 3, 0, 1], [0, 0, 0, 0, 0]]))
    _, ys = run(layers, params, random_xs(), segments)
    for b, steps in [(0, slice(0, 2)), (0, slice(2, 5)), (1, slice(0, 3)), (1, slice(4, 5))]:
        assert_close(ys[b, steps], run(layers, params, random_xs()[b : b + 1, steps])[1][0])
    assert stack_lengths(layers, segments) is segments


def test_stack_lengths_count_the_groups():
    layers = (Layer(GRU, subsample=2), Layer(GRU), Layer(GRU, subsample=3))
    lengths = np.arange(20)
    want = [len(range(0, len(range(0, n, 2)), 3)) for n in lengths]
    assert stack_lengths(layers, lengths).tolist() == want
    assert stack_lengths(layers, None) is None
    assert stack_lengths((Layer(GRU),), lengths) is lengths


# Learned carries.

LEARNED = (
    Layer(LSTM, learned_carry=True),
    Layer(Bi(ELMAN, CLOCKED), learned_carry=True),
    Layer(ELMAN, direction="bwd", learned_carry=True),
)


def test_learned_carry_is_what_every_row_starts_from():
    params, carries = random_stack(LEARNED, H)
    initial = tuple(one.initial for one in params)
    assert jax.tree.structure(initial) == jax.tree.structure(carries)
    in_rows = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (B, *leaf.shape)), initial)
    got = run(LEARNED, params, random_xs(), LENGTHS)
    assert_equal(got, run(LEARNED, params, random_xs(), LENGTHS, initial_carry=in_rows))
    assert_equal(_row(got[0], 2), initial)


def test_learned_carry_starts_as_the_cells_own_and_changes_the_output():
    """The parameters of the recurrence are the same with and without."""
    params = new_stack(LEARNED, H)
    plain = tuple(dataclasses.replace(layer, learned_carry=False) for layer in LEARNED)
    want = run(plain, new_stack(plain, H), random_xs(), LENGTHS)
    assert_equal(run(LEARNED, params, random_xs(), LENGTHS), want)
    for index, one in enumerate(params):
        for number, leaf in enumerate(jax.tree.leaves(one.initial)):
            moved, structure = jax.tree.flatten(one.initial)
            moved[number] = leaf + 1
            moved = one._replace(initial=jax.tree.unflatten(structure, moved))
            _, ys = run(LEARNED, (*params[:index], moved, *params[index + 1 :]), random_xs())
            assert (ys != want[1]).any()


def test_given_carry_goes_before_the_learned_one():
    params, carries = random_stack(LEARNED, H)
    plain = tuple(dataclasses.replace(layer, learned_carry=False) for layer in LEARNED)
    bare = tuple(one._replace(initial=None) for one in params)
    want = run(plain, bare, random_xs(), LENGTHS, initial_carry=carries)
    assert_equal(run(LEARNED, params, random_xs(), LENGTHS, initial_carry=carries), want)


def test_half_a_carry_leaves_the_other_direction_as_learned():
    params, carries = random_stack(LEARNED, H)
    learned = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (B, *leaf.shape)), params[0].initial)
    half = Bi(None, carries[0].bwd)
    got = run(LEARNED, params, random_xs(), LENGTHS, initial_carry=(half, None, None))
    whole = (Bi(learned.fwd, carries[0].bwd), None, None)
    assert_equal(got, run(LEARNED, params, random_xs(), LENGTHS, initial_carry=whole))


def test_gradient_of_learned_carries_matches_finite_differences(x64):
    layers = LEARNED[1:]
    params, _ = random_stack(layers, H, dtype="float64")

    def loss(params):
        return weigh(stack(layers, params, random_xs(dtype="float64"), LENGTHS))

    check_gradients(loss, params)


# What the parameters start as.


def test_new_layer_is_scaled_by_one_shifted_by_none_and_hands_on_most_of_its_input():
    layers = (
        Layer(GRU, norm="pre", projection=D, connection="highway"),
        Layer(GRU, norm="post", projection=D, connection="highway"),
    )
    made = new_stack(layers, H)
    for one in made:
        assert (one.norm.scale == 1).all() and (one.norm.shift == 0).all()
        assert_equal(one.projection.b, jnp.zeros(D))
        assert_equal(one.highway.b, jnp.full(D, -1.0))
        assert one.projection.w.shape == (2 * H, D) and one.highway.w.shape == (D, D)
    weights = [w for one in made for w in (one.projection.w, one.highway.w)]
    values = np.concatenate([w.ravel() for w in weights])
    assert len(np.unique(values)) == values.size


def test_layer_with_a_recurrence_only_starts_as_it_would_without_options():
    (plain,) = new_stack((Layer(LSTM),), H)
    (normed,) = new_stack((Layer(LSTM, norm="pre", learned_carry=True),), H)
    assert_equal(normed.rnn, plain.rnn)
    assert plain[1:] == (None,) * 4


def test_widths_may_differ_in_every_layer_and_direction():
    shapes = jax.eval_shape(lambda: new_stack(EVERYTHING, WIDTHS))
    bottom, middle, top = (one.rnn for one in shapes)
    cells = (*bottom, *middle, top)
    assert [cell.w_x.shape[0] for cell in cells] == [D, D, 2 * 3, 2 * 3, 6]
    assert [cell.w_h.shape[0] for cell in cells] == [4, 8, H, 2, 5]
    assert [one.projection.w.shape for one in shapes] == [(4 + 8, 3), (H + 2, 6), (5, 6)]
