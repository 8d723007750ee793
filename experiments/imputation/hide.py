"""What is hidden from a model, to be filled in: single values, or gaps of several steps."""

import numpy as np


def hide(observed: np.ndarray, share: float, gap: int, rng: np.random.Generator) -> np.ndarray:
    """Chooses observed values at random, in gaps of `gap` steps of one feature.

    Args:
      observed: `[N, T, D]` bool.
      share: of the values, 0 to 1. Gaps may meet, so that with long ones it is met roughly.
      gap: steps of a gap, within a window.
      rng: draws where gaps begin.

    Returns:
      `[N, T, D]` bool, a part of `observed`.

    Example:
      >>> seen = np.ones([1, 6, 2], bool)
      >>> hide(seen, 0.3, 3, np.random.default_rng(5))[0].astype(int).T.tolist()
      [[0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]
    """
    steps = observed.shape[1]
    starts = steps - gap + 1
    if starts < 1:
        raise ValueError(f"A gap of {gap} steps does not fit into a window of {steps}.")
    rate = 1 - (1 - share) ** (1 / gap)  # so that a value in the middle is hidden in that share
    begins = np.zeros_like(observed)
    begins[:, :starts] = rng.random([len(observed), starts, observed.shape[2]]) < rate
    hidden = np.zeros_like(observed)
    for offset in range(gap):
        hidden[:, offset:] |= begins[:, : steps - offset]
    return hidden & observed
