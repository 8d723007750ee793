"""What fills gaps without having learned anything: the mean, the last value, straight lines."""

import numpy as np


def last_value(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The value seen last before each step of a window; zero, the mean, before the first.

    Args:
      values: `[N, T, D]`, standardised.
      seen: `[N, T, D]` bool.

    Returns:
      `[N, T, D]`.
    """
    steps = np.arange(values.shape[1])[None, :, None]
    last = np.maximum.accumulate(np.where(seen, steps, -1), axis=1)
    found = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, found, 0)


def straight_lines(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Between the values seen; level before the first and after the last, zero where none is."""
    steps = np.arange(values.shape[1])
    filled = np.zeros_like(values)
    for row, feature in np.ndindex(values.shape[0], values.shape[2]):
        there = seen[row, :, feature]
        if there.any():
            known = values[row, there, feature]
            filled[row, :, feature] = np.interp(steps, steps[there], known)
    return filled


BASELINES = {
    "mean": lambda values, seen: np.zeros_like(values),
    "last value": last_value,
    "straight lines": straight_lines,
}
