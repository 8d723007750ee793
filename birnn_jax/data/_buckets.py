"""Padded lengths: few of them, so few compilations, and little padding."""

from collections.abc import Sequence

import numpy as np

from .._core.checks import as_size

MULTIPLE = 4
COMPILATION = 50_000  # steps: between those of a small model and of one that reads characters, too
_MOST = 8  # padded lengths, where their number is not given
_MOST_ENDS = 1000  # of more different lengths only so many quantiles are tried


def choose_buckets(
    lengths: Sequence[int] | np.ndarray, num_buckets: int | None = None, *, epochs: int = 10
) -> tuple[int, ...]:
    """Chooses at most `num_buckets` padded lengths that together need the least padding.

    The lengths are multiples of 4; a sequence is padded to the shortest that it fits in. The choice
    is optimal, by dynamic programming, where there are at most 1,000 different multiples of 4 to
    choose from, and else among 1,000 quantiles.

    Args:
      lengths: `[N]`, the lengths of the sequences.
      num_buckets: how many padded lengths, at most. With None up to 8, so that compiling and
        padding cost least together: each length is compiled once, which takes as long as about
        50,000 time steps of training, and padding is computed in every epoch.
      epochs: epochs of the training; with `num_buckets=None` a longer one gets more lengths.

    Returns:
      The padded lengths, ascending.

    Raises:
      ValueError: if there is no sequence, or `num_buckets` is not positive.

    Example:
      >>> from birnn_jax.data import choose_buckets
      >>> choose_buckets([3, 4, 5, 6, 20], 2)
      (8, 20)
      >>> choose_buckets([3, 4, 5, 6, 20]), choose_buckets([3, 4, 5, 6, 20], epochs=2000)
      ((20,), (8, 20))
    """
    limit = _MOST if num_buckets is None else as_size("num_buckets", num_buckets)
    price = COMPILATION / as_size("epochs", epochs) * (num_buckets is None)
    if not len(lengths):
        raise ValueError("lengths must hold at least one length, got none.")
    ordered = np.sort(lengths)
    ends = np.unique(round_up(ordered))
    if len(ends) > _MOST_ENDS:
        chosen = np.linspace(0, len(ordered) - 1, _MOST_ENDS).round().astype(int)
        ends = np.unique(round_up(ordered[chosen]))
    below = np.searchsorted(ordered, ends, side="right")  # sequences up to each end
    # costs[j]: the fewest padded steps for all sequences up to ends[j]; plans[j]: the buckets.
    costs = below * ends
    plans = [(int(end),) for end in ends]
    best, lowest = plans[-1], costs[-1] + price
    for number in range(2, limit + 1):
        # One bucket more: from ends[i] to ends[j], for i < j.
        more = costs[:, None] + (below[None] - below[:, None]) * ends[None]
        more[np.tril_indices(len(ends))] = np.iinfo(more.dtype).max
        least = np.minimum(costs, more.min(axis=0))
        longer = []
        for j, end in enumerate(ends):
            alike = [plans[j]] if costs[j] == least[j] else []
            alike += [(*plans[i], int(end)) for i in np.flatnonzero(more[:, j] == least[j])]
            longer.append(min(alike))
        if longer == plans:
            break
        costs, plans = least, longer
        if costs[-1] + number * price <= lowest:
            best, lowest = plans[-1], costs[-1] + number * price
    return best


def round_up(lengths: np.ndarray) -> np.ndarray:
    """The next multiples of 4."""
    return -(-lengths // MULTIPLE) * MULTIPLE


def choose_bounds(lengths: np.ndarray, key: np.ndarray, num_buckets: int | None) -> np.ndarray:
    """Padded lengths `[K, G]` of leaves from their `lengths` `[N, G]`: a bound a leaf and bucket.

    The first of two sequences with the smaller `key` `[N]` is never in the longer bucket. A leaf of
    the same length in all sequences is not padded.
    """
    ends = choose_buckets(key, num_buckets)
    longest = np.stack([lengths[key <= end].max(axis=0) for end in ends])
    return np.where((lengths == lengths[0]).all(axis=0), lengths[0], round_up(longest))


def bounds_of(lengths: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The padded lengths `[N, G]` of sequences of `lengths` `[N, G]`.

    It is the first row of `bounds` `[K, G]` that all leaves fit in, or else the smallest multiple
    of the last.
    """
    fits = (lengths[:, None] <= bounds).all(axis=-1)
    last = np.maximum(bounds[-1], 1)
    times = np.max(-(-lengths // last), axis=1, keepdims=True)
    beyond = ~fits.max(axis=1, keepdims=True)
    return np.where(beyond, times * last, bounds[fits.argmax(axis=1)])
