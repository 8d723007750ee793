"""The training step over four devices: the step of one, and no collective inside a loop."""

import re
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import birnn_jax
from birnn_jax import LSTM, Layer, backends, init_train_state, make_optimizer, make_train_step
from birnn_jax.cells import PEEPHOLE_LSTM
from birnn_jax.checkpoint import Checkpoints
from tests._checkpoint_states import assert_same_bits, make_state
from tests.library._cases import assert_close, random_xs

jax.config.update("jax_disable_most_optimizations", True)
SUMS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
KEY = jax.random.key(5)
LENGTHS = np.array([5, 2, 0, 4, 0, 0, 3, 1])
BATCH = {
    "xs": random_xs(0, 8, 5, 2),
    "labels": np.random.default_rng(0).integers(0, 4, [8, 5]),
    "lengths": LENGTHS,  # the third device has nothing but padding
    "rows": np.arange(8),
}


def loss_of(layers):
    def loss(params, batch, key):
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, batch["rows"])
        logits = birnn_jax.tagger(
            layers, params, batch["xs"], batch["lengths"], dropout=0.2, key=keys
        )
        mask = jnp.arange(5)[None] < batch["lengths"][:, None]
        return {"loss": birnn_jax.cross_entropy(logits, batch["labels"], mask)}

    return loss


def in_loops(hlo):
    """The text of everything that a while loop of the program calls, and of how many functions."""
    bodies = {
        name: text for name, text in re.findall(r"^%?([\w.-]+) .*?{\n(.*?)^}", hlo, re.M | re.S)
    }
    seen, found = set(), set(re.findall(r"(?:body|condition)=%?([\w.-]+)", hlo))
    assert found <= bodies.keys()
    while found - seen:
        name = (found - seen).pop()
        seen.add(name)
        called = re.findall(r"(?:body|condition|calls|to_apply)=%?([\w.-]+)", bodies[name])
        found |= set(called) & bodies.keys()
    return "".join(bodies[name] for name in seen), len(seen)


def train(layers, *, devices=None, accumulation_steps=1, steps=2):
    optimizer = make_optimizer(0.5, clip_norm=1.0, method=optax.sgd)
    params = birnn_jax.init_tagger(
        layers, jax.random.key(1), input_size=2, hidden_size=7, num_classes=4
    )
    state = init_train_state(params, optimizer)
    mesh = None
    if devices:
        mesh = jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices])
        state = jax.device_put(state, jax.NamedSharding(mesh, jax.P()))
    step = make_train_step(
        loss_of(layers), optimizer, mesh=mesh, accumulation_steps=accumulation_steps
    )
    step = step.lower(state, BATCH, KEY).compile()
    losses = []
    for _ in range(steps):
        state, metrics = step(state, BATCH, KEY)
        losses.append(metrics["loss"].mean)
    return (losses, state.params), step.as_text(), state


def check(layers, want, **options):
    got, hlo, state = train(layers, **options)
    assert_close(jax.device_get(got), jax.device_get(want))
    is_native = layers[0].backend == "cpu_kernel"
    assert ("birnn_backward" in hlo) == is_native
    looped, loops = in_loops(hlo)
    assert not [name for name in SUMS if name in looped], looped
    assert loops or is_native
    reduced = re.findall(r"= (.*?) all-reduce(?:-start)?[(]", hlo)
    arrays = sum(len(re.findall(r"f32\[", one)) for one in reduced)
    weights = len(jax.tree.leaves(state.params))
    assert arrays == weights + 2, (arrays, weights, reduced)  # and sum and count of the loss
    assert not [name for name in SUMS[1:] if f" {name}(" in hlo]
    assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state))


def spread(state, devices):
    """The state as a mesh of so many devices has it, one array by rows and the others whole."""
    mesh = jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices])
    by_rows, whole = jax.NamedSharding(mesh, jax.P("data")), jax.NamedSharding(mesh, jax.P())
    state = jax.device_put(state, whole)
    return state._replace(params={"rows": jax.device_put(state.params["rows"], by_rows)})


def main():
    lstm, by_xla = ((Layer(LSTM, backend=backend),) for backend in ("auto", "xla"))
    want, _, _ = train(lstm)
    check(by_xla, want, devices=4)
    if backends().cpu_kernel.available:
        check((Layer(LSTM, backend="cpu_kernel"),), want, devices=2, accumulation_steps=2)

    # A cell that nobody knows: its gradients are added up in the loop, but not over the devices.
    other = (Layer(PEEPHOLE_LSTM, direction="bwd", backend="reference"),)
    want, _, _ = train(other)
    check(other, want, devices=2)
    with pytest.raises(
        ValueError, match=r"batch\['labels'\] has 8 rows, which 3 devices cannot share"
    ):
        train(other, devices=3)

    state = make_state(3)._replace(params={"rows": random_xs(4, 8, 3)})
    for background in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            with Checkpoints(folder, background=background) as checkpoints:
                checkpoints.save(spread(state, 4), position={"row": 2})
            for devices in (1, 2, 8):
                like = spread(jax.tree.map(jnp.zeros_like, state), devices)
                restored = Checkpoints(folder).restore_latest(like)
                assert_same_bits(restored.state, state)
                for got, want in zip(*map(jax.tree.leaves, (restored.state, like)), strict=True):
                    assert got.sharding == want.sharding and len(got.sharding.device_set) == devices


if __name__ == "__main__":
    main()
