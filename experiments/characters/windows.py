"""Minibatches of windows of a text, drawn at random or adjacent to one another.

A minibatch is {"inputs": [B, T], "labels": [B, T], "rows": [B], "fresh": []}: the label is the next
character, and `fresh` says that the state begins anew. Minibatch i is a pure function of (seed, i).
"""

from typing import Any, Literal

import numpy as np

from birnn_jax.data import windows

Sampling = Literal["adjacent", "random"]
Minibatch = dict[str, np.ndarray]


class Windows:
    """Minibatches of `epochs` epochs of a text: `self[i]` is minibatch i.

    Adjacent: the text is cut into B rows, and a row of a minibatch goes on where the same row of
    the minibatch before it stopped; the state begins anew with each epoch. Random: windows come in
    any order, once an epoch, and the state begins anew with each. What does not fill the last
    minibatch of an epoch is left out.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        *,
        steps: int,
        batch_size: int,
        sampling: Sampling,
        epochs: int = 1,
        seed: int = 0,
    ):
        """Takes tokens `[N]`.

        Raises:
          ValueError: if the text does not fill one minibatch.
        """
        needed = batch_size * steps + 1
        if len(tokens) < needed:
            raise ValueError(
                f"The text to train on has {len(tokens):,} characters, but a minibatch of "
                f"{batch_size} windows of {steps} takes {needed:,}: give a smaller --batch-size "
                "or --steps, or more text."
            )
        predicted = len(tokens) - 1
        is_random = sampling == "random"
        length = steps if is_random else predicted // batch_size
        starts = np.arange(predicted // length if is_random else batch_size) * length
        self._dataset = windows(
            _streams(tokens, starts, starts + length // steps * steps),
            steps=steps,
            batch_size=batch_size,
            seed=seed if is_random else None,
            drop_remainder=True,
        )
        self._epochs = epochs

    @property
    def per_epoch(self) -> int:
        """Minibatches of an epoch."""
        return len(self._dataset)

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> Minibatch:
        window = self._dataset[index]
        rows = np.arange(len(window.rows), dtype=np.int32)
        return {**window.values, "rows": rows, "fresh": np.array(window.starts.all())}


class Whole:
    """Every character of a text but the first, to be predicted once, in one batch.

    Its windows are adjacent. Its leaves have an axis in front, the windows of each row in order;
    `lengths` says how much there is of each window.
    """

    def __init__(self, tokens: np.ndarray, *, steps: int, batch_size: int):
        """Takes tokens `[N]`, two or more."""
        predicted = len(tokens) - 1
        starts = np.arange(batch_size) * -(-predicted // batch_size)
        streams = _streams(tokens, starts, np.append(starts[1:], predicted).clip(max=predicted))
        found = [*windows(streams, steps=steps, batch_size=batch_size)]
        names = ("inputs", "labels")
        self._batch = {
            **{name: np.stack([window.values[name] for window in found]) for name in names},
            "fresh": np.arange(len(found)) == 0,
            "lengths": np.stack([window.lengths for window in found]),
        }

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Minibatch:
        if index != 0:
            raise IndexError(index)
        return self._batch


def _streams(tokens: np.ndarray, starts: Any, stops: Any) -> list[Minibatch]:
    """Pieces of a text, each with the characters that come next."""
    return [
        {"inputs": tokens[start:stop], "labels": tokens[start + 1 : stop + 1]}
        for start, stop in zip(starts, stops, strict=True)
    ]
