"""Measures of something: what would be a measure of nothing is refused in a sentence."""

from collections.abc import Iterable, Sequence


def require_some(items: Sequence, what: str) -> None:
    """Refuses to measure nothing; `what` names the items in the plural.

    Raises:
      ValueError: if there are none.
    """
    if not items:
        raise ValueError(f"There are no {what} to measure.")


def share(holds: Sequence[bool], what: str) -> float:
    """How many of 1 hold; `what` names them in the plural.

    Raises:
      ValueError: if there are none.

    Example:
      >>> share([True, False, False, True], "words")
      0.5
    """
    require_some(holds, what)
    return sum(holds) / len(holds)


def require_labels(train: Iterable[str], dev: Iterable[str], what: str, *, fewest: int = 2) -> None:
    """Refuses data from which nothing can be learned, or by which nothing can be chosen.

    Args:
      train: the labels of the training data.
      dev: those of the data that decide which checkpoint is best.
      what: what they are, in the singular.
      fewest: different labels that training needs.

    Raises:
      ValueError: if training has fewer, or dev has none of training.
    """
    known = {*train}
    if len(known) < fewest:
        found = f"the {what} {min(known)!r} only" if known else f"no {what}"
        raise ValueError(f"The training data have {found}: there is nothing to distinguish.")
    if known.isdisjoint(dev):
        raise ValueError(
            f"The development data have no {what} that training has, so they cannot choose a "
            "checkpoint: every one would be measured by nothing. Give others with --dev."
        )
