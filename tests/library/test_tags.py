"""Tag schemes: which tag may follow which, against reading rows of tags as a person would."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax.heads import (
    constrain_crf,
    crf_decode_n_best,
    crf_loss,
    crf_marginals,
    init_crf,
    tag_constraints,
)
from tests.library._cases import random_like

n_best = jax.jit(crf_decode_n_best, static_argnames="n")
marginals = jax.jit(crf_marginals)

TAGS = {
    "BIO": ["O", "B-x", "I-x", "B-y", "I-y"],
    "IOB1": ["O", "B-x", "I-x", "B-y", "I-y"],
    "IO": ["O", "I-x", "I-y"],
    "BIOES": ["O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y"],
    "BILOU": ["O", "B-x", "I-x", "L-x", "U-x", "B-y", "I-y", "L-y", "U-y"],
    "BMES": ["B", "M", "E", "S"],
}
# How a span of one, two, three steps and so on is written, and what begins one after its like.
SPANS = {
    "BIO": lambda length: "B" + "I" * (length - 1),
    "IO": lambda length: "I" * length,
    "BIOES": lambda length: "S" if length == 1 else "B" + "I" * (length - 2) + "E",
    "BILOU": lambda length: "U" if length == 1 else "B" + "I" * (length - 2) + "L",
    "BMES": lambda length: "S" if length == 1 else "B" + "M" * (length - 2) + "E",
}


def _spans(length, entities):
    """Every way to fill `length` steps with spans `(length, entity)`, and None outside of them."""
    if length == 0:
        return [[]]
    ways = [[None, *rest] for rest in _spans(length - 1, entities)]
    for size in range(1, length + 1):
        for entity in entities:
            ways += [[(size, entity), *rest] for rest in _spans(length - size, entities)]
    return ways


def _written(spans, scheme):
    """The tags of spans; in IOB1 a span begins with B only if one of its like ends before it."""
    tags = []
    for before, span in itertools.pairwise([None, *spans]):
        if span is None:
            tags.append("O")
            continue
        size, entity = span
        if scheme == "IOB1":
            positions = ("B" if before and before[1] == entity else "I") + "I" * (size - 1)
        else:
            positions = SPANS[scheme](size)
        tags += [f"{position}-{entity}".rstrip("-") for position in positions]
    return tuple(tags)


def _rows(tags, scheme, length):
    """Every row of `length` tags that is the writing of some spans."""
    entities = sorted({tag.partition("-")[2] for tag in tags if tag != "O"})
    rows = {_written(spans, scheme) for spans in _spans(length, entities)}
    return {row for row in rows if set(row) <= set(tags)}


@pytest.mark.parametrize("scheme", TAGS)
def test_constraints_allow_what_spans_are_written_as_and_nothing_else(scheme):
    tags = [*TAGS[scheme], "<pad>"]
    allowed = tag_constraints(tags, scheme=scheme, special_tags=("<pad>",))
    length = 4 if len(tags) < 9 else 3
    by_table = {
        tuple(tags[label] for label in row)
        for row in itertools.product(range(len(tags)), repeat=length)
        if allowed.start[row[0]]
        and allowed.end[row[-1]]
        and all(allowed.transitions[pair] for pair in itertools.pairwise(row))
    }
    assert by_table == _rows(tags, scheme, length)


def test_bioul_is_another_name_of_bilou():
    got, want = (tag_constraints(TAGS["BILOU"], scheme=name) for name in ("BIOUL", "BILOU"))
    assert all((a == b).all() for a, b in zip(got, want, strict=True))


def test_a_constrained_chain_decodes_and_expects_only_what_is_allowed():
    tags = TAGS["BIO"]
    params = random_like(init_crf(num_classes=5), 1)
    logits = 3 * random_like(jnp.zeros([8, 5, 5]), 2)
    params = constrain_crf(params, tag_constraints(tags, scheme="BIO"))
    rows = n_best(params, logits, n=3)[0].reshape(-1, 5)
    assert {tuple(tags[label] for label in row) for row in rows.tolist()} <= _rows(tags, "BIO", 5)
    first = marginals(params, logits)[:, 0]
    assert not first[:, np.array([2, 4])].any()  # no row begins with I
    np.testing.assert_allclose(first.sum(axis=-1), 1, rtol=1e-5)


def test_constraints_have_no_gradient_and_a_broken_row_a_finite_one():
    tags = ["O", "B", "I"]
    allowed = tag_constraints(tags, scheme="BIO")
    labels = jnp.array([[0, 2, 0]])  # I after O

    def run(params):
        return crf_loss(constrain_crf(params, allowed), jnp.zeros([1, 3, 3]), labels).sum

    value, grads = jax.jit(jax.value_and_grad(run))(init_crf(num_classes=3))
    assert 9_000 < value < 11_000
    assert not grads.transitions[~allowed.transitions].any() and not grads.start[2]
    assert all(jnp.isfinite(leaf).all() for leaf in grads)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tag_constraints(["O", "E-x"], scheme="BIO"), "'E-x' is not of the scheme BIO"),
        (lambda: tag_constraints(["O-x"], scheme="BIO"), "'O-x' is not of the scheme"),
        (lambda: tag_constraints([""], scheme="BMES"), "'' is not of the scheme"),
        (lambda: tag_constraints(["O"], scheme="IOB"), "scheme must be one of 'BIO'"),
        (
            lambda: tag_constraints(["<pad>", "O", "B-x"], scheme="BIO"),
            "'<pad>' is not of the scheme BIO. .* such as '<pad>', is named in special_tags",
        ),
        (
            lambda: tag_constraints(["O", "B-x"], scheme="BIO", special_tags=["[PAD]"]),
            r"special_tags must be among tags, but '\[PAD\]' is not",
        ),
        (
            lambda: constrain_crf(init_crf(num_classes=2), tag_constraints(["O"], scheme="BIO")),
            "params are for 2 labels, but allowed is for 1",
        ),
    ],
)
def test_bad_schemes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
