"""Which tag may follow which, from the name of a tag scheme."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._core.checks import check_choice
from ._crf import CRFParams

Scheme = Literal["BIO", "BIOES", "BMES"]

FORBIDDEN = -1e4
"""Nats. A probability of exactly zero in float32, yet finite: labels that break the scheme get a
large loss with a gradient, not an infinite one without."""


class TagConstraints(NamedTuple):
    """What a tag scheme allows."""

    transitions: np.ndarray  # [K, K] bool, from the row's tag to the column's
    start: np.ndarray  # [K] bool
    end: np.ndarray  # [K] bool


class _Tag(NamedTuple):
    position: str
    entity: str


class _Positions(NamedTuple):
    """What a position in a span says of its neighbours."""

    known: str
    inside: str  # continue a span of the same entity
    unfinished: str  # must be continued


_SCHEMES = {
    "BIO": _Positions(known="BIO", inside="I", unfinished=""),
    "BIOES": _Positions(known="BIOES", inside="IE", unfinished="BI"),
    "BMES": _Positions(known="BMESO", inside="ME", unfinished="BM"),
}


def tag_constraints(tags: Sequence[str], *, scheme: Scheme) -> TagConstraints:
    """Which tags may begin a row, follow each other and end a row.

    BIO: I-x follows B-x or I-x. BIOES: B-x and I-x are followed by I-x or E-x, which follow nothing
    else. BMES: as BIOES, with M for I; O may be missing.

    Args:
      tags: names by label, such as "B-PER", "O", or "B" where there is one entity only.
      scheme: "BIO" (also called IOB2), "BIOES" or "BMES".

    Returns:
      `TagConstraints`, for `constrain_crf`.

    Raises:
      ValueError: for an unknown scheme, or a tag that is not in it.

    Example:
      >>> from birnn_jax.heads import tag_constraints
      >>> allowed = tag_constraints(["O", "B-LOC", "I-LOC", "I-PER"], scheme="BIO")
      >>> allowed.transitions[1].tolist(), allowed.start.tolist()
      ([True, True, True, False], [True, True, False, False])

    References:
      Ramshaw and Marcus, Text Chunking using Transformation-Based Learning, 1995;
      Ratinov and Roth, Design Challenges and Misconceptions in Named Entity Recognition, 2009.
    """
    check_choice("scheme", scheme, _SCHEMES)
    positions = _SCHEMES[scheme]
    parsed = [_parse(tag, scheme) for tag in tags]
    return TagConstraints(
        transitions=np.array([[_follows(b, a, positions) for b in parsed] for a in parsed]),
        start=np.array([tag.position not in positions.inside for tag in parsed]),
        end=np.array([tag.position not in positions.unfinished for tag in parsed]),
    )


def constrain_crf(params: CRFParams, allowed: TagConstraints) -> CRFParams:
    """The chain with what is not allowed made impossible.

    A function of the parameters: apply it in the loss and before decoding, and keep training the
    parameters it is given. Forbidden scores get no gradient.

    Args:
      params: from `init_crf`.
      allowed: from `tag_constraints`.

    Returns:
      `CRFParams` for `crf_loss` and the decoders. What is not allowed scores -10,000 nats, wherever
      it stands.

    Raises:
      ValueError: if the number of labels differs.

    Example:
      >>> from birnn_jax.heads import constrain_crf, crf_decode, init_crf, tag_constraints
      >>> allowed = tag_constraints(["O", "B", "I"], scheme="BIO")
      >>> logits = jnp.array([[[1.0, 0.0, 5.0], [0.0, 0.0, 5.0]]])
      >>> crf_decode(constrain_crf(init_crf(num_classes=3), allowed), logits)[0].tolist()
      [[1, 2]]
    """
    if params.transitions.shape != allowed.transitions.shape:
        raise ValueError(
            f"params are for {len(params.start)} labels, but allowed is for {len(allowed.start)}."
        )
    parts = zip(params, allowed, strict=True)
    return CRFParams(*(jnp.where(one, scores, FORBIDDEN) for scores, one in parts))


def _parse(tag: str, scheme: str) -> _Tag:
    position, _, entity = tag.partition("-")
    if position not in list(_SCHEMES[scheme].known) or (position == "O" and entity):
        raise ValueError(
            f"The tag {tag!r} is not of the scheme {scheme}. Tags are one of its letters, "
            "or a letter and an entity as in 'B-PER'; O has no entity."
        )
    return _Tag(position, entity)


def _follows(tag: _Tag, before: _Tag, positions: _Positions) -> bool:
    if tag.position in positions.inside:
        return before.position in _opening(positions) and before.entity == tag.entity
    return before.position not in positions.unfinished


def _opening(positions: _Positions) -> str:
    """What an inner position may follow: in BIO any part of the span."""
    return positions.unfinished or "BI"
