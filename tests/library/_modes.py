"""Every function of the library in every mode of JAX: the results of the plain call.

A program of its own, since eight devices must be asked for before JAX starts:

    JAX_NUM_CPU_DEVICES=8 python tests/library modes [MODE[:PATTERN OF SUBJECTS]] ...
"""

import contextlib
import functools
import math
import re
import sys
import unittest

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.experimental import jet
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.library._cases import assert_close
from tests.library._mode_models import SUBJECTS, B

ROWS, WHOLE = PartitionSpec("data"), PartitionSpec()


def is_float(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def weigh(tree):
    """A scalar to which every entry contributes by another weight, the same in every row."""

    def of_leaf(leaf):
        leaf, shape = leaf.astype(jnp.float32), leaf.shape[1:]
        weights = jnp.sin(1.0 + jnp.arange(math.prod(shape), dtype=jnp.float32)).reshape(shape)
        return (leaf * weights[None]).sum() if leaf.ndim else leaf

    return sum((of_leaf(leaf) for leaf in jax.tree.leaves(tree) if is_float(leaf)), jnp.float32(0))


def split(args):
    """What is differentiated by, and the function that puts it back."""
    leaves, tree = jax.tree.flatten(args)
    moving = [leaf if is_float(leaf) else None for leaf in leaves]

    def join(moving):
        pairs = zip(moving, leaves, strict=True)
        return tree.unflatten([leaf if part is None else part for part, leaf in pairs])

    return moving, join


def evaluate(subject):
    """`(whole, rows) -> outputs, gradients` by all floating arguments."""

    def run(whole, rows):
        if not subject.has_grad:
            return subject.run(whole, rows), ()
        moving, join = split((whole, rows))

        def loss(moving):
            outputs = subject.run(*join(moving))
            return weigh(outputs), outputs

        grads, outputs = jax.grad(loss, has_aux=True)(moving)
        return outputs, grads

    return run


@functools.cache
def plain(name):
    subject = SUBJECTS[name]
    return jax.device_get(jax.jit(evaluate(subject))(subject.whole, subject.rows))


def check(got, name, want=None):
    want = plain(name) if want is None else want
    dtype = "bfloat16" if "bfloat16" in name else "float32"
    for one, other in zip(*map(jax.tree.leaves, (jax.device_get(got), want)), strict=True):
        assert_close(one, other, dtype)


def make_mesh(kind):
    return jax.make_mesh((2, 2), ("data", "model"), (kind, kind), devices=jax.devices()[:4])


def spread(mesh, args, by_units):
    """Rows over one axis of the mesh; features and units over the other, if they can be."""

    def place(leaf, first):
        spec = [first] + [None] * (leaf.ndim - 1) if leaf.ndim else []
        if (
            by_units
            and is_float(leaf)
            and leaf.ndim > (first is not None)
            and leaf.shape[-1] % 2 == 0
        ):
            spec[-1] = "model"
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*spec)))

    whole, rows = args
    of_rows = functools.partial(place, first="data")
    return jax.tree.map(functools.partial(place, first=None), whole), jax.tree.map(of_rows, rows)


def explicit(name, *, jit=True, current=False, by_units=False):
    subject, mesh = SUBJECTS[name], make_mesh(AxisType.Explicit)
    if not (jit or current):  # where JAX itself cannot differentiate
        subject = subject._replace(has_grad=False)
    args, run = spread(mesh, (subject.whole, subject.rows), by_units), evaluate(subject)
    with jax.set_mesh(mesh) if current else contextlib.nullcontext():
        got = (jax.jit(run) if jit else run)(*args)
    check(got, name, None if subject.has_grad == SUBJECTS[name].has_grad else (plain(name)[0], ()))
    if not name.startswith("train"):
        for leaf in jax.tree.leaves(got[0]):
            assert leaf.ndim == 0 or leaf.sharding.spec[0] == "data" or leaf.shape[0] != B


def sharded(name):
    """`shard_map` with its check of what varies."""
    subject = SUBJECTS[name]

    def device(whole, rows):
        outputs = subject.run(whole, rows)
        return jax.tree.map(lambda leaf: leaf if leaf.ndim else jax.lax.psum(leaf, "data"), outputs)

    outputs = jax.eval_shape(subject.run, subject.whole, subject.rows)
    out = jax.tree.map(lambda leaf: ROWS if leaf.ndim else WHOLE, outputs)
    run = jax.shard_map(
        device, mesh=make_mesh(AxisType.Auto), in_specs=(WHOLE, ROWS), out_specs=out
    )
    check(jax.jit(evaluate(subject._replace(run=run)))(subject.whole, subject.rows), name)


def ensemble(name):
    """`shard_map` where parameters vary, and the rows do not."""
    subject = SUBJECTS[name]
    both = jax.tree.map(lambda leaf: jnp.stack([leaf[::-1], leaf]), subject.whole)

    def device(whole, rows):
        outputs = subject.run(jax.tree.map(lambda leaf: leaf[0], whole), rows)
        return jax.tree.map(lambda leaf: leaf[None], outputs)

    run = jax.shard_map(
        device, mesh=make_mesh(AxisType.Auto), in_specs=(ROWS, WHOLE), out_specs=ROWS
    )
    got = jax.jit(run)(both, subject.rows)
    check(jax.tree.map(lambda leaf: leaf[1], got), name, plain(name)[0])


def without_jit(name):
    with jax.disable_jit():
        got = evaluate(SUBJECTS[name])(SUBJECTS[name].whole, SUBJECTS[name].rows)
    check(got, name)


def spoiled(subject, value, where):
    def spoil(leaf):
        if not is_float(leaf) or leaf.shape[: where.ndim] != where.shape:
            return leaf
        axes = range(where.ndim, leaf.ndim)
        return jnp.where(jnp.expand_dims(where, axes), value, leaf)

    return jax.tree.map(spoil, subject.rows)


def nan_in_padding(name, *, jit):
    subject = SUBJECTS[name]
    rows, run = spoiled(subject, jnp.nan, ~subject.valid), evaluate(subject)
    with jax.debug_nans(True):
        check((jax.jit(run) if jit else run)(subject.whole, rows), name)


def nan_made(name, *, jit):
    """Of infinite inputs at valid steps: JAX says in which operation it appeared.

    A compiled program is judged by its results, in which some functions have no NaN for infinities.
    """
    subject = SUBJECTS[name]
    rows, run = spoiled(subject, jnp.inf, subject.valid), evaluate(subject)
    run = jax.jit(run) if jit else run
    results = jax.tree.leaves(run(subject.whole, rows))
    is_made = not jit or any(bool(jnp.isnan(leaf).any()) for leaf in results if is_float(leaf))
    with jax.debug_nans(True):
        try:
            run(subject.whole, rows)
        except FloatingPointError as error:
            assert is_made and "nan" in str(error)
        else:
            assert not is_made, "a NaN at a valid step is not reported"


def exported(name):
    """With gradients; parameters and carries are arguments and results by their types."""
    subject = SUBJECTS[name]
    args = subject.whole, subject.rows
    data = jax.export.export(jax.jit(evaluate(subject)))(*args).serialize()
    check(jax.export.deserialize(data).call(*args), name)


def symbolic(name):
    """For any number of rows and steps, with gradients."""
    subject = SUBJECTS[name]
    batch, time = jax.export.symbolic_shape("batch, time")

    def free(leaf):
        has_time = leaf.shape[1:2] == subject.valid.shape[1:]
        shape = (batch, time, *leaf.shape[2:]) if has_time else (batch, *leaf.shape[1:])
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    shapes = jax.tree.map(free, subject.rows)
    data = jax.export.export(jax.jit(evaluate(subject)))(subject.whole, shapes).serialize()
    check(jax.export.deserialize(data).call(subject.whole, subject.rows), name)


def strict(name, *, jit):
    run = evaluate(SUBJECTS[name])
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        got = (jax.jit(run) if jit else run)(SUBJECTS[name].whole, SUBJECTS[name].rows)
    check(got, name)


def guarded(name):
    args = jax.device_put((SUBJECTS[name].whole, SUBJECTS[name].rows))
    with jax.transfer_guard("disallow"):
        got = jax.jit(SUBJECTS[name].run)(*args)
    check(got, name, plain(name)[0])


def keys_of(name, *, impl):
    """Each row alone gives what it gives in the batch, and another key something else."""
    subject = SUBJECTS[name]
    keys = jnp.stack([jax.random.key(seed, impl=impl) for seed in range(B)])
    rows, run = {**subject.rows, "key": keys}, jax.jit(subject.run)
    together = run(subject.whole, rows)
    for row in range(B):
        part = functools.partial(jax.tree.map, lambda leaf, row=row: leaf[row : row + 1])
        check(run(subject.whole, part(rows)), name, part(together))
    other = run(subject.whole, {**rows, "key": keys[::-1]})
    pairs = zip(jax.tree.leaves(other), jax.tree.leaves(together), strict=True)
    assert any(not np.array_equal(one, two) for one, two in pairs)


def empty_vmap(name):
    subject = SUBJECTS[name]
    rows = jax.tree.map(lambda leaf: jnp.stack([leaf])[:0], subject.rows)
    got = jax.jit(jax.vmap(evaluate(subject), (None, 0)))(subject.whole, rows)
    want = jax.tree.map(lambda leaf: (0, *leaf.shape), plain(name))
    assert jax.tree.map(jnp.shape, got) == want


def taylor(name):
    subject = SUBJECTS[name]
    run = lambda xs: jax.tree.leaves(subject.run(subject.whole, {**subject.rows, "xs": xs}))  # noqa: E731
    xs = subject.rows["xs"]
    for function in (run, jax.jit(run)):
        try:
            jet.jet(function, (xs,), ((xs, xs),))
        except NotImplementedError as error:
            assert "Taylor mode" in str(error)
        else:
            raise AssertionError("Taylor mode is not refused")


MODES = {
    "explicit": explicit,
    "explicit_current": functools.partial(explicit, current=True),
    "explicit_eager": functools.partial(explicit, jit=False, current=True),
    "explicit_alone": functools.partial(explicit, jit=False),
    "explicit_units": functools.partial(explicit, by_units=True),
    "shard_map": sharded,
    "ensemble": ensemble,
    "disable_jit": without_jit,
    "nan_made": functools.partial(nan_made, jit=True),
    "nan_made_eager": functools.partial(nan_made, jit=False),
    "nan_in_padding": functools.partial(nan_in_padding, jit=True),
    "nan_in_padding_eager": functools.partial(nan_in_padding, jit=False),
    "export": exported,
    "symbolic": symbolic,
    "strict": functools.partial(strict, jit=True),
    "strict_eager": functools.partial(strict, jit=False),
    "guard": guarded,
    "rbg": functools.partial(keys_of, impl="rbg"),
    "unsafe_rbg": functools.partial(keys_of, impl="unsafe_rbg"),
    "empty_vmap": empty_vmap,
    "jet": taylor,
}


def applies(mode, name):
    subject = SUBJECTS[name]
    if "rbg" in mode:
        return subject.is_random
    if name.startswith("train"):
        return mode.startswith(("explicit", "strict", "guard"))
    if name == "nnx" and mode in ("export", "symbolic"):
        return False  # Flax registers none of its types for export
    if name == "dropout_one_key" and mode == "shard_map":
        return False  # rows are numbered on each device, by which one key makes their masks
    if mode == "ensemble":
        return all(map(is_float, jax.tree.leaves(subject.whole) or [jnp.zeros([], int)]))
    if "nan" in mode:
        floats = [leaf for leaf in jax.tree.leaves(subject.rows) if is_float(leaf)]
        shape = subject.valid.shape
        return subject.has_grad and any(leaf.shape[: len(shape)] == shape for leaf in floats)
    recurrent = ("bidirectional", "scan_cell", "tagger", "nnx", "linen", "latency", "crf_", "ctc_")
    return mode != "jet" or (name.startswith(recurrent) and name != "ctc_greedy")


def case_of(mode, name):
    def run():
        MODES[mode](name)

    return unittest.FunctionTestCase(run, description=f"{mode}:{name}")


def main(wanted):
    jax.config.update("jax_disable_most_optimizations", True)
    patterns = [(*pattern.split(":"), ".*")[:2] for pattern in wanted]
    cells = [
        (mode, name)
        for mode in MODES
        for name in SUBJECTS
        if applies(mode, name)
        and any(mode == m and re.fullmatch(names, name) for m, names in patterns or [(mode, ".*")])
    ]
    failures = 0
    for start in range(0, len(cells), 50):
        suite = unittest.TestSuite(case_of(*cell) for cell in cells[start : start + 50])
        result = unittest.TextTestRunner(verbosity=0).run(suite)
        failures += len(result.failures) + len(result.errors)
        jax.clear_caches()  # or a thousand programs stay, and slow down every further one
    print(f"{failures} of {len(cells)} failed")
    return 1 if failures or not cells else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
