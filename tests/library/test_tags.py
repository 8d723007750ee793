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
from tests.library._cases import assert_close, random_like

n_best = jax.jit(crf_decode_n_best, static_argnames="n")
marginals = jax.jit(crf_marginals)

TAGS = {
    "BIO": ["O", "B-x", "I-x", "B-y", "I-y"],
    "BIOES": ["O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y"],
    "BMES": ["B", "M", "E", "S"],
}


def _valid_by_reading(tags, scheme):
    """Consumes a row span by span, as a person would."""
    tags, inside, ends = list(tags), {"BIO": "I", "BIOES": "I", "BMES": "M"}[scheme], "E"
    while tags:
        position, _, entity = tags.pop(0).partition("-")
        if position in (inside, ends):
            return False
        if position == "B":
            while tags and tags[0].partition("-") in [(inside, dash, entity) for dash in ("-", "")]:
                tags.pop(0)
            if scheme != "BIO":
                if not tags or tags.pop(0).partition("-")[::2] != (ends, entity):
                    return False
    return True


@pytest.mark.parametrize("scheme", TAGS)
def test_constraints_allow_what_reads_as_spans_and_nothing_else(scheme):
    tags = TAGS[scheme]
    allowed = tag_constraints(tags, scheme=scheme)
    for row in itertools.product(range(len(tags)), repeat=4 if len(tags) < 9 else 3):
        by_table = (
            allowed.start[row[0]]
            and allowed.end[row[-1]]
            and all(allowed.transitions[pair] for pair in itertools.pairwise(row))
        )
        assert by_table == _valid_by_reading([tags[label] for label in row], scheme), row


def test_a_constrained_chain_decodes_and_expects_only_what_is_allowed():
    tags = TAGS["BIO"]
    params = random_like(init_crf(num_classes=5), 1)
    logits = 3 * random_like(jnp.zeros([8, 5, 5]), 2)
    params = constrain_crf(params, tag_constraints(tags, scheme="BIO"))
    rows = n_best(params, logits, n=3)[0].reshape(-1, 5)
    assert all(_valid_by_reading([tags[label] for label in row], "BIO") for row in rows.tolist())
    first = marginals(params, logits)[:, 0]
    assert not first[:, np.array([2, 4])].any()  # no row begins with I
    assert_close(first.sum(axis=-1), jnp.ones(8))


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
            lambda: constrain_crf(init_crf(num_classes=2), tag_constraints(["O"], scheme="BIO")),
            "params are for 2 labels, but allowed is for 1",
        ),
    ],
)
def test_bad_schemes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
