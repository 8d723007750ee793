"""The settings of a part-of-speech tagger."""

import pathlib

from experiments.pos_tagging.data import Tags
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.words.config import WordSettings

BUNDLED = DATA / "pos_ewt_tiny.tsv.gz"


class TaggingConfig(ReadSettings, WordSettings):
    """All settings that determine the results of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: CoNLL-U, or columns form, UPOS[, XPOS], with a blank line after each sentence;
    plain or .gz. Of a file with lines "# split = train" that part is read."""
    dev: pathlib.Path | None = None
    """Development data, which decides which checkpoint is best. If not given, the part dev of the
    file of --train; without one, a tenth of train that is split off."""
    test: pathlib.Path | None = None
    """Test data, looked at once, after training. If not given, the same as for --dev."""
    tags: Tags = "upos"
    """Tags to learn: the 17 universal ones, or those of the language."""

    @property
    def files(self) -> dict[str, pathlib.Path]:
        """The file that each part is read from."""
        return {
            "train": self.train,
            "dev": self.dev or self.train,
            "test": self.test or self.train,
        }
