"""Linen layers live as Linen modules do: random collections, transformations, serialisation."""

import functools

import flax
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Layer,
    bidirectional,
    init_bidirectional,
    init_stack,
    stack,
)
from birnn_jax.linen import RNN, Bidirectional, Stack, from_dicts, to_dicts
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
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


def random_variables(layer):
    return random_like(jax.eval_shape(layer.init, jax.random.key(0), random_xs()), 1)


def params_of(tree, init, *args, **sizes):
    """The NamedTuples that `init` makes, from the nested dicts of a layer."""
    return from_dicts(jax.eval_shape(lambda: init(*args, jax.random.key(0), **sizes)), tree)


LAYERS = (Layer(ELMAN, direction="fwd"),) * 2
PLAIN = Stack(LAYERS, hidden_size=H)
DROPPING = PLAIN.clone(dropout=0.5)
VARIABLES = random_variables(PLAIN)
PARAMS = params_of(VARIABLES["params"]["rnn"], init_stack, LAYERS, input_size=D, hidden_size=H)

MIXED = Bidirectional(Bi(ELMAN, CLOCKED), hidden_size=Bi(H, 4))
MIXED_VARIABLES = random_variables(MIXED)
MIXED_PARAMS = params_of(
    *(MIXED_VARIABLES["params"]["rnn"], init_bidirectional, MIXED.cell),
    input_size=D,
    hidden_size=MIXED.hidden_size,
)


@jax.jit
def drop(key):
    rngs = {"dropout": key}
    return DROPPING.apply(VARIABLES, random_xs(), LENGTHS, deterministic=False, rngs=rngs)


@jax.jit
def draw(key):
    return Bidirectional(ELMAN, H).init(key, random_xs())["params"]["rnn"]


@functools.partial(jax.jit, static_argnames="dropout")
def run_core(dropout=0.0, key=None):
    return stack(LAYERS, PARAMS, random_xs(), LENGTHS, dropout=dropout, key=key)


def test_dropout_is_that_of_the_core():
    rngs = {"dropout": jax.random.key(5)}
    key = DROPPING.apply(VARIABLES, "dropout", rngs=rngs, method="make_rng")
    assert_equal(drop(jax.random.key(5)), run_core(0.5, key))


def test_dropout_takes_keys_of_both_styles():
    assert_equal(drop(jax.random.PRNGKey(5)), drop(jax.random.key(5)))


def test_dropout_differs_for_another_key():
    assert not jnp.array_equal(drop(jax.random.key(5))[1], drop(jax.random.key(6))[1])


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (DROPPING, {"deterministic": True}),
        (DROPPING.clone(deterministic=True), {}),
        (PLAIN, {}),
        (PLAIN, {"deterministic": False}),
    ],
    ids=["argument", "attribute", "no_dropout", "no_dropout_in_training"],
)
def test_evaluation_needs_no_key(layer, settings):
    apply = jax.jit(functools.partial(layer.apply, **settings))
    assert_close(apply(VARIABLES, random_xs(), LENGTHS), run_core())


def test_missing_key_is_refused():
    with pytest.raises(flax.errors.InvalidRngError, match='needs PRNG for "dropout"'):
        DROPPING.apply(VARIABLES, random_xs(), deterministic=False)


def test_missing_mode_is_refused():
    with pytest.raises(ValueError, match="deterministic"):
        DROPPING.apply(VARIABLES, random_xs(), rngs={"dropout": jax.random.key(5)})


def test_keys_of_both_styles_make_the_same_parameters():
    assert_equal(draw(jax.random.PRNGKey(5)), draw(jax.random.key(5)))


def test_every_key_and_direction_makes_its_own_parameters():
    one, other = draw(jax.random.key(5)), draw(jax.random.key(6))
    assert (one["fwd"]["w_x"] != one["bwd"]["w_x"]).all()
    assert (one["fwd"]["w_x"] != other["fwd"]["w_x"]).all()


def test_cells_receive_keys_of_the_new_style():
    """The contract of `InitFn`, also where Flax was given a key of the old style."""
    layer = RNN(CLOCKED._replace(init=_init_from_new_style), H)
    layer.init(jax.random.PRNGKey(5), random_xs())


def _init_from_new_style(key, input_size, hidden_size):
    assert jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return CLOCKED.init(key, input_size, hidden_size)


def test_gradients_are_those_of_the_function():
    def loss(run, params):
        return weigh(run(params, random_xs(), LENGTHS))

    def run_layer(params, *inputs):
        return MIXED.apply({"params": {"rnn": params}}, *inputs)

    grads = [
        jax.jit(jax.grad(functools.partial(loss, run)))(MIXED_PARAMS)
        for run in (run_layer, functools.partial(bidirectional, MIXED.cell))
    ]
    assert_close(*grads)


def test_vmap_adds_a_batch_dimension():
    shared = nn.vmap(Bidirectional, variable_axes={"params": None}, split_rngs={"params": False})(
        LSTM, H
    )
    xs, lengths = random_xs(0, 2, B, T, D), jnp.stack([LENGTHS, LENGTHS[::-1]])
    variables = random_like(jax.eval_shape(shared.init, jax.random.key(0), xs, lengths), 1)
    got = jax.jit(shared.apply)(variables, xs, lengths)
    apply = jax.jit(Bidirectional(LSTM, H).apply)
    each = [apply(variables, *one) for one in zip(xs, lengths, strict=True)]
    assert_close(got, jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))


def test_variables_survive_serialisation():
    target = jax.tree.map(jnp.zeros_like, MIXED_VARIABLES)
    got = flax.serialization.from_bytes(target, flax.serialization.to_bytes(MIXED_VARIABLES))
    assert_equal(got, jax.tree.map(jax.device_get, MIXED_VARIABLES))


@pytest.mark.parametrize("layer", [MIXED, RNN(CLOCKED, H)], ids=["tuples", "dicts"])
def test_frozen_variables_are_taken(layer):
    variables = random_variables(layer)
    apply = jax.jit(layer.apply)
    got = apply(flax.core.freeze(variables), random_xs(), LENGTHS)
    assert_equal(got, apply(variables, random_xs(), LENGTHS))


class _Tagger(nn.Module):
    """A user's model: layers made inside, names given by Flax, recomputed in the gradient."""

    @nn.compact
    def __call__(self, xs, lengths):
        _, ys = nn.remat(Bidirectional)(GRU, H)(xs, lengths)
        _, ys = Stack([Layer(ELMAN)], H)(ys, lengths)
        return nn.Dense(4)(ys)


def test_flax_reaches_every_parameter_by_its_path():
    """What is frozen by path stays, the rest moves as without a layer of Flax."""
    layers = (Layer(ELMAN, direction="fwd"), Layer(ELMAN, norm="post", direction="fwd"))
    layer = Stack(layers, H)
    params = random_variables(layer)["params"]
    by_path = flax.traverse_util.flatten_dict(params, sep="/")
    assert {path: leaf.shape for path, leaf in by_path.items() if "/1/" in path} == {
        "rnn/1/norm/scale": (H,),
        "rnn/1/norm/shift": (H,),
        "rnn/1/rnn/w_x": (H, H),
        "rnn/1/rnn/w_h": (H, H),
        "rnn/1/rnn/b": (H,),
    }
    label = flax.traverse_util.path_aware_map(lambda path, _: str("1" in path), params)
    optimizer = optax.multi_transform({"True": optax.sgd(0.1), "False": optax.set_to_zero()}, label)

    @jax.jit
    def update(params):
        grads = jax.grad(lambda params: weigh(layer.apply({"params": params}, random_xs())))(params)
        return optimizer.update(grads, optimizer.init(params))[0]["rnn"]

    @jax.jit
    def grad_core(params):
        return jax.grad(lambda params: weigh(stack(layers, params, random_xs())))(params)

    below, above = grad_core(
        params_of(params["rnn"], init_stack, layers, input_size=D, hidden_size=H)
    )
    want = (jax.tree.map(jnp.zeros_like, below), jax.tree.map(lambda leaf: -0.1 * leaf, above))
    assert_close(update(params), to_dicts(want))


@pytest.mark.parametrize(
    "convert",
    [
        lambda params: params,
        lambda params: flax.serialization.from_bytes(
            random_variables(MIXED), flax.serialization.to_bytes({"params": {"rnn": params}})
        )["params"]["rnn"],
        lambda params: {"fwd": params.fwd._asdict(), "bwd": params.bwd},
    ],
    ids=["named_tuples", "bytes", "mixed"],
)
def test_parameters_of_functions_and_of_older_variables_are_taken(convert):
    apply = jax.jit(MIXED.apply)
    got = apply({"params": {"rnn": convert(MIXED_PARAMS)}}, random_xs(), LENGTHS)
    assert_equal(got, apply(MIXED_VARIABLES, random_xs(), LENGTHS))


def test_dicts_and_named_tuples_are_converted_both_ways():
    layers = (Layer(Bi(ELMAN, CLOCKED), learned_carry=True), Layer(GRU, projection=4))
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    assert_equal(from_dicts(params, to_dicts(params)), params)
    listed = [to_dicts(params[0]), to_dicts(params[1]) | {"norm": None}]  # as Orbax restores it
    assert_equal(from_dicts(params, listed), params)
    assert to_dicts(listed[0]["rnn"]["fwd"]["b"]) is listed[0]["rnn"]["fwd"]["b"]


@pytest.mark.parametrize(
    ("layer", "xs", "message"),
    [
        (Bidirectional(ELMAN, 4), random_xs(), r"fwd/w_x has shape \(2, 7\), .* make it \(2, 4\)"),
        (Bidirectional(ELMAN, H), random_xs(0, B, T, 3), r"w_x has shape .* make it \(3, 7\)"),
        (Bidirectional(GRU, H), random_xs(), "lack bwd/b_hn, fwd/b_hn; those of the layer are"),
        (RNN(ELMAN, H), random_xs(), "lack b, w_h, w_x; those of the layer are b, w_h, w_x. Give"),
    ],
    ids=["size", "features", "cell", "direction"],
)
def test_variables_of_another_layer_are_refused(layer, xs, message):
    variables = random_variables(Bidirectional(ELMAN, H))
    for rnn in (variables["params"]["rnn"], flax.core.freeze(variables["params"]["rnn"])):
        with pytest.raises(ValueError, match=message):
            layer.apply({"params": {"rnn": rnn}}, xs)


def test_sizes_of_named_tuples_are_checked_too():
    params = params_of(
        *(random_variables(Bidirectional(ELMAN, H))["params"]["rnn"], init_bidirectional, ELMAN),
        input_size=D,
        hidden_size=H,
    )
    with pytest.raises(ValueError, match=r"fwd/w_x has shape \(2, 7\)"):
        Bidirectional(ELMAN, 4).apply({"params": {"rnn": params}}, random_xs())


def test_partitioning_is_kept_with_the_variables_and_taken_off_for_the_call():
    kernel_init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    layer = Bidirectional(Bi(*[nn.SimpleCell(H, kernel_init=kernel_init)] * 2))
    boxed = jax.jit(layer.init)(jax.random.key(0), random_xs())
    spec = nn.get_partition_spec(boxed)["params"]["rnn"]["bwd"]["i"]["kernel"]
    assert spec == jax.sharding.PartitionSpec(None, "model")
    apply = jax.jit(layer.apply)
    assert_equal(apply(boxed, random_xs()), apply(nn.meta.unbox(boxed), random_xs()))


def test_stack_is_a_static_argument():
    assert hash(Stack(list(LAYERS), [H, 4])) == hash(Stack(LAYERS, (H, 4)))


def test_layers_work_inside_a_model():
    init = functools.partial(_Tagger().init, jax.random.key(0))
    variables = random_like(jax.eval_shape(init, random_xs(), LENGTHS), 1)
    rnn, top = (
        variables["params"][name]["rnn"] for name in ("CheckpointBidirectional_0", "Stack_0")
    )
    rnn = params_of(rnn, init_bidirectional, GRU, input_size=D, hidden_size=H)
    top = params_of(top, init_stack, [Layer(ELMAN)], input_size=2 * H, hidden_size=H)
    _, ys = bidirectional(GRU, rnn, random_xs(), LENGTHS)
    _, ys = stack([Layer(ELMAN)], top, ys, LENGTHS)
    want = ys @ variables["params"]["Dense_0"]["kernel"]
    want = want + variables["params"]["Dense_0"]["bias"][None, None]
    assert_close(jax.jit(_Tagger().apply)(variables, random_xs(), LENGTHS), want)
