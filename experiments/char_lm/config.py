"""The rows of the table that this project starts from, and their settings."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.characters.config import LanguageConfig

EPOCHS = (40, 80, 120, 160)
_SCRATCH = {"method": "sgd", "learning_rate": 100.0, "init": "normal"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row: how it is trained, and its perplexities of training after `EPOCHS`."""

    title: str
    published: tuple[float | None, ...]
    settings: Mapping[str, Any]


ROWS = {
    "gru_scratch": Row(
        "GRU from scratch", (149.27, None, None, 1.427), {"cell": "gru", **_SCRATCH}
    ),
    "gru": Row("GRU, library layer", (1.016, 1.011, 1.011, 1.058), {"cell": "gru"}),
    "lstm_scratch": Row(
        "LSTM from scratch", (211.46, 68.46, 15.03, 3.897), {"cell": "lstm", **_SCRATCH}
    ),
    "lstm": Row("LSTM, library layer", (1.020, 1.013, 1.010, 1.009), {"cell": "lstm"}),
    "lstm_2": Row("LSTM, 2 layers", (12.84, 1.248, 1.022, 1.016), {"cell": "lstm", "layers": 2}),
    "lstm_6": Row("LSTM, 6 layers", (276.8, 276.3, 276.1, 275.7), {"cell": "lstm", "layers": 6}),
    "gru_both": Row(
        "bidirectional GRU, hidden 128",
        (1.0017, 1.0005, 1.0003, 1.0002),
        {"cell": "gru", "direction": "both", "hidden_size": 128},
    ),
}


def row_config(row: str, text: pathlib.Path, *, epochs: int) -> LanguageConfig:
    """The settings of a row: Adam at 0.01 or SGD at 100, both clipped at 0.01.

    Raises:
      ValueError: if there is no such row.
    """
    if row not in ROWS:
        raise ValueError(f"There is no row {row}; there are {', '.join(ROWS)}.")
    return LanguageConfig(
        text=text, characters=10_000, held_out=0.0, epochs=epochs, **ROWS[row].settings
    )
