"""The settings of a translator."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

from birnn_jax import Layer
from birnn_jax.models import Seq2Seq
from experiments.runner.data.files import DATA
from experiments.runner.data.parts import Part
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import CELLS
from experiments.runner.run.settings import RunSettings, require
from experiments.translation.subwords import BEGIN, END

Attention = Literal["additive", "multiplicative", "none"]


@dataclasses.dataclass(frozen=True)
class Translator:
    """The shape of the model, and how it is regularised: everything static about it."""

    network: Seq2Seq
    dropout: float = 0.0
    scheduled: bool = False  # the decoder sometimes reads its own predictions in training


BUNDLED = DATA / "mt_tatoeba_en_zh_5k.tsv.gz"
BleuTokens = Literal["13a", "zh", "char", "none"]


class TranslationConfig(ReadSettings, RunSettings):
    """All settings that determine the results of a run."""

    data: pathlib.Path = BUNDLED
    """Pairs in tab-separated columns: source, target[, ...] or split, source, target[, ...]; plain
    or .gz. Not read if --source is given."""
    source: pathlib.Path | None = None
    """Sentences of the source language, one per line."""
    target: pathlib.Path | None = None
    """Their translations, on the same lines."""
    dev_source: pathlib.Path | None = None
    """Source sentences of the development set; if not given, a tenth of --source and --target is
    split off."""
    dev_target: pathlib.Path | None = None
    """Their translations."""
    test_source: pathlib.Path | None = None
    """Source sentences of the test set; if not given, a tenth is split off."""
    test_target: pathlib.Path | None = None
    """Their translations."""
    reverse: bool = False
    """Translate from the target language to the source language."""

    source_subwords: int = 1000
    """Subwords of the source language, at most."""
    target_subwords: int = 3000
    """Subwords of the target language, at most."""
    cell: Literal["gru", "lstm"] = "gru"
    """Recurrent cell, of encoder and decoder."""
    attention: Attention = "multiplicative"
    """Attention of the decoder: the score of a small network (Bahdanau et al.), a bilinear form
    (Luong et al.), or none, with one fixed vector instead."""
    layers: int = 1
    """Recurrent layers of the encoder, in both directions; the decoder has one."""
    embedding_size: int = 96
    """Size of the embedding of a subword."""
    hidden_size: int = 128
    """Hidden units of each layer and direction."""
    dropout: float = 0.3
    """Rate of dropout of embeddings, between layers, and before the softmax layer."""
    label_smoothing: float = 0.1
    """Share of the target probability that is spread over all subwords."""
    teacher_forcing: float = 1.0
    """Probability at the end of the run that the decoder reads the correct subword instead of its
    own prediction; it falls linearly from 1."""

    epochs: int = 20
    """Largest number of epochs."""
    learning_rate: float = 3e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine to
    zero."""
    batch_size: int = 64
    """Pairs of a batch."""
    patience: int = 5
    """Evaluations on dev without a new best before training stops early."""
    beam_width: int = 5
    """Hypotheses of the beam search."""
    length_penalty: float = 1.0
    """Strength of the length penalty of the beam search; 0 is none."""
    bleu_tokens: BleuTokens = "zh"
    """How sacreBLEU splits sentences into words: "13a", "zh" (Chinese characters, else as 13a),
    "char", or "none" where the files are split already."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("source_subwords", "target_subwords", "layers", "beam_width")
        self.require_positive("embedding_size", "hidden_size", "batch_size")
        self.require_rates("dropout", "label_smoothing")
        require(0 <= self.teacher_forcing <= 1, "teacher_forcing must be from 0 to 1")
        require(self.length_penalty >= 0, "length_penalty must not be negative")
        for name in ("", "dev_", "test_"):
            sides = [getattr(self, f"{name}{side}") for side in ("source", "target")]
            require(
                (sides[0] is None) == (sides[1] is None),
                f"{name}source and {name}target must be given together",
            )
        require(
            self.source is not None or {*self.parallel_files} <= {"train"},
            "dev_source and test_source must be given with source",
        )

    @property
    def parallel_files(self) -> dict[Part, tuple[pathlib.Path, pathlib.Path]]:
        """The two files of each part that has some."""
        names: dict[Part, str] = {"train": "", "dev": "dev_", "test": "test_"}
        sides: dict[Part, tuple[Any, Any]] = {
            part: (getattr(self, f"{name}source"), getattr(self, f"{name}target"))
            for part, name in names.items()
        }
        return {part: files for part, files in sides.items() if files[0] is not None}

    @property
    def files(self) -> Mapping[str, pathlib.Path]:
        """The data files that are read."""
        others = {name: path for name, path in super().files.items() if name != "data"}
        return others or {"data": self.data}

    @property
    def model(self) -> Translator:
        """The static part of the model."""
        cell = CELLS[self.cell]
        attention = "general" if self.attention == "multiplicative" else self.attention
        return Translator(
            Seq2Seq((Layer(cell),) * self.layers, cell, begin=BEGIN, end=END, attention=attention),
            dropout=self.dropout,
            scheduled=self.teacher_forcing < 1,
        )
