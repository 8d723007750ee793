"""Sequences of made-up tasks as texts, and the answers to them.

| task | a sequence | its answer |
| --- | --- | --- |
| adding | numbers, two of them with a star: 0.3 0.5* 0.1 0.7* | the sum |
| copy | symbols 1 to 8, blanks 0, the sign 9, and blanks as long as the answer | a symbol a step |
| order | X and Y as 0 and 1 among distractors 2 to 5 | both in order, such as 01 |
| parity, xor | bits: 0110 | a bit a step, - where none is asked for |
"""

import jax
import numpy as np

from experiments.synthetic.tasks import ALPHABET, DISTRACTORS, TASKS

_SYMBOLS = {"copy": ALPHABET + 2, "order": 2 + DISTRACTORS, "parity": 2, "xor": 2}


def read_sequence(task: str, text: str, place: str) -> np.ndarray:
    """The inputs `[T, D]` that a text stands for.

    Raises:
      ValueError: names the place, if the text is no sequence of the task, or too short for it.

    Example:
      >>> read_sequence("parity", "011", "Text 1").tolist()
      [[-1.0], [1.0], [1.0]]
      >>> read_sequence("adding", "0.5* 0.25", "Text 1").tolist()
      [[0.5, 1.0], [0.25, 0.0]]
    """
    xs = _numbers(text, place) if task == "adding" else _symbols(task, text, place)
    if len(xs) < TASKS[task].shortest:
        raise ValueError(
            f"{place} has {len(xs)} steps; the task {task} needs at least {TASKS[task].shortest}."
        )
    return xs


def write_answer(task: str, outputs: np.ndarray) -> str:
    """What the outputs `[T, K]` of a network say, where something is asked for.

    Example:
      >>> write_answer("parity", np.array([[2.0, 1.0], [0.0, 3.0]]))
      '01'
    """
    if task == "adding":
        return f"{outputs[-1, 0]:.4f}"
    classes = outputs.argmax(axis=-1)
    if task == "order":
        return f"{classes[-1] // 2}{classes[-1] % 2}"
    asked = np.ones(len(classes), bool)
    if task == "xor":
        asked = np.asarray(TASKS[task].make(jax.random.key(0), 1, len(classes)).mask[0])
    return "".join(
        str(label) if wanted else "-" for label, wanted in zip(classes, asked, strict=True)
    )


def _numbers(text: str, place: str) -> np.ndarray:
    words = text.split()
    try:
        numbers = [float(word.removesuffix("*")) for word in words]
    except ValueError:
        numbers = [np.nan]
    if not np.isfinite(numbers).all():
        raise ValueError(f"{place} is not numbers such as 0.3 0.5* 0.1 0.7*.")
    return np.array([numbers, [float(word.endswith("*")) for word in words]], np.float32).T


def _symbols(task: str, text: str, place: str) -> np.ndarray:
    symbols, count = "".join(text.split()), _SYMBOLS[task]
    if not symbols.isdecimal() or not {*symbols} <= {*map(str, range(count))}:
        raise ValueError(f"{place} is not a sequence of digits from 0 to {count - 1}.")
    values = np.array([int(symbol) for symbol in symbols])
    if count == 2:
        return (2.0 * values - 1)[:, None].astype(np.float32)
    return np.eye(count, dtype=np.float32)[values]
