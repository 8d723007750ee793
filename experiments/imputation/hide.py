"""What is hidden from a model, to be filled in: single values, or gaps of several steps."""

import numpy as np


def hide(observed: np.ndarray, share: float, gap: int, rng: np.random.Generator) -> np.ndarray:
    """Chooses observed values at random, in gaps of `gap` steps of one feature.

    Args:
      observed: `[N, T, D]` bool.
      share: of all values, 0 to 1. Gaps may meet, so that with long ones it is less.
      gap: steps of a gap, within a window.
      rng: draws where gaps begin.

    Returns:
      `[N, T, D]` bool, a part of `observed`.

    Raises:
      ValueError: if a gap is longer than a window.

    Example:
      >>> seen = np.ones([1, 6, 2], bool)
      >>> hide(seen, 0.25, 3, np.random.default_rng(5))[0].astype(int).T.tolist()
      [[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0]]
    """
    windows, steps, features = observed.shape
    places = (windows, steps - gap + 1, features)
    if places[1] < 1:
        raise ValueError(f"A gap of {gap} steps does not fit into a window of {steps}.")
    count = min(max(1, round(share * observed.size / gap)), int(np.prod(places)))
    chosen = rng.choice(int(np.prod(places)), count, replace=False)
    window, start, feature = np.unravel_index(chosen, places)
    hidden = np.zeros_like(observed)
    for offset in range(gap):
        hidden[window, start + offset, feature] = True
    return hidden & observed
