"""The settings of a part-of-speech tagger."""

import dataclasses
import pathlib
from typing import Literal

from experiments.runner.data.files import DATA
from experiments.words.config import WordSettings

BUNDLED = DATA / "pos_ewt_tiny.tsv.gz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggingConfig(WordSettings):
    """Everything that decides the outcome of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: CoNLL-U, or tab-separated columns form, UPOS[, XPOS], with a blank line after
    each sentence; plain or .gz. Of a file with lines "# split = train" that part is read."""
    dev: pathlib.Path = BUNDLED
    """Development data, which decides which checkpoint is best. Formats as for --train."""
    test: pathlib.Path = BUNDLED
    """Test data, looked at once, after training. Formats as for --train."""
    tags: Literal["upos", "xpos"] = "upos"
    """Which tags to learn: the 17 universal ones, or those of the language."""
