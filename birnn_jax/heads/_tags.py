"""Which tag may follow which, from the name of a tag scheme."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._core.checks import check_choice, check_made_by
from .._core.describe import describe
from .._core.spans import Scheme
from ._crf import CRFParams

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
    inside: str  # stands behind a tag of `going_on`, of the same entity
    going_on: str  # a span of these may be continued
    unfinished: str  # and of these it must be


_BILOU = _Positions(known="BILOU", inside="IL", going_on="BI", unfinished="BI")
_SCHEMES = {
    "BIO": _Positions(known="BIO", inside="I", going_on="BI", unfinished=""),
    # I begins a span; B only where one of the same entity ends right before it.
    "IOB1": _Positions(known="BIO", inside="B", going_on="BI", unfinished=""),
    "IO": _Positions(known="IO", inside="", going_on="I", unfinished=""),
    "BIOES": _Positions(known="BIOES", inside="IE", going_on="BI", unfinished="BI"),
    "BILOU": _BILOU,
    "BIOUL": _BILOU,
    "BMES": _Positions(known="BMESO", inside="ME", going_on="BM", unfinished="BM"),
}


def tag_constraints(
    tags: Sequence[str], *, scheme: Scheme, special_tags: Sequence[str] = ()
) -> TagConstraints:
    """Which tags may begin a row, follow each other and end a row.

    BIO (IOB2): I-x follows B-x or I-x. IOB1: B-x follows B-x or I-x, and I-x anything. IO: no rule.
    BIOES: B-x and I-x are followed by I-x or E-x, which follow nothing else. BILOU (BIOUL): as
    BIOES, with L for E and U for S. BMES: as BIOES, with M for I; O may be missing.

    Args:
      tags: names by label, such as "B-PER", "O", or "B" where there is one entity only.
      scheme: "BIO", "IOB1", "IO", "BIOES", "BILOU", "BIOUL" or "BMES".
      special_tags: those of `tags` that no step has, such as "<pad>": they begin no row, follow
        nothing and nothing follows them.

    Returns:
      `TagConstraints`, for `constrain_crf`.

    Raises:
      TypeError: if tags are no names.
      ValueError: for an unknown scheme, a tag that is not in it, or a special tag that is missing
        in `tags`.

    Example:
      >>> from birnn_jax.heads import tag_constraints
      >>> allowed = tag_constraints(["O", "B-LOC", "I-LOC", "I-PER"], scheme="BIO")
      >>> allowed.transitions[1].tolist(), allowed.start.tolist()
      ([True, True, True, False], [True, True, False, False])

    References:
      Ramshaw and Marcus, Text Chunking using Transformation-Based Learning, 1995 (IOB1);
      Ratinov and Roth, Design Challenges and Misconceptions in Named Entity Recognition, 2009
      (BILOU).
    """
    check_choice("scheme", scheme, _SCHEMES)
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"tags must be a sequence of names such as 'B-PER', got {describe(tags)}.")
    missing = [tag for tag in special_tags if tag not in tags]
    if missing:
        raise ValueError(f"special_tags must be among tags, but {missing[0]!r} is not.")
    positions = _SCHEMES[scheme]
    parsed = [None if tag in special_tags else _parse(tag, scheme) for tag in tags]
    return TagConstraints(
        transitions=np.array([[_follows(b, a, positions) for b in parsed] for a in parsed]),
        start=np.array(
            [tag is not None and tag.position not in positions.inside for tag in parsed]
        ),
        end=np.array(
            [tag is not None and tag.position not in positions.unfinished for tag in parsed]
        ),
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
    check_made_by("init_crf", CRFParams, params)
    if params.transitions.shape != allowed.transitions.shape:
        raise ValueError(
            f"params are for {len(params.start)} labels, but allowed is for {len(allowed.start)}."
        )
    parts = zip(params, allowed, strict=True)
    return CRFParams(*(jnp.where(allowed, scores, FORBIDDEN) for scores, allowed in parts))


def _parse(tag: str, scheme: str) -> _Tag:
    position, _, entity = tag.partition("-")
    if position not in list(_SCHEMES[scheme].known) or (position == "O" and entity):
        raise ValueError(
            f"The tag {tag!r} is not of the scheme {scheme}. Tags are one of "
            f"{', '.join(_SCHEMES[scheme].known)}, or a letter and an entity as in 'B-PER'; O has "
            "no entity. What is no tag, such as '<pad>', is named in special_tags."
        )
    return _Tag(position, entity)


def _follows(tag: _Tag | None, before: _Tag | None, positions: _Positions) -> bool:
    if tag is None or before is None:
        return False
    if tag.position in positions.inside:
        return before.position in positions.going_on and before.entity == tag.entity
    return before.position not in positions.unfinished
