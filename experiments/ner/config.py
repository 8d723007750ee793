"""The settings of a tagger of entities."""

import pathlib
from typing import Literal, NamedTuple

from experiments.ner.schemes import WrittenScheme, scheme_of
from experiments.runner.data.files import DATA
from experiments.words.config import FileSettings, WordTagger
from experiments.words.data import Encoder, Vocabulary


class EntityTagger(NamedTuple):
    """The shape of the model: everything static about it."""

    words: WordTagger
    tags: tuple[str, ...]
    scheme: str
    crf: bool
    recall_cost: float


class Columns(NamedTuple):
    """Which columns hold the word and its tag: 0 is the first, -1 the last.

    For a word 0 is the first that does not number words, for a tag -1 the last that holds tags.
    """

    word: int = 0
    tag: int = -1


BUNDLED = DATA / "ner_wnut17.tsv.gz"


class EntityConfig(FileSettings):
    """All settings that determine the results of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: columns as in CoNLL, a word a line and a blank line after each sentence; plain
    or .gz. Of a file with lines "# split = train" that part is read."""
    word_column: int = 0
    """Column of the word: 0 is the first, not counting a first column that numbers the words."""
    tag_column: int = -1
    """Column of the tag: -1 is the last column that holds only tags."""
    scheme: Literal["auto", "BIO", "IOB1", "IO", "BIOES", "BILOU", "BMES"] = "auto"
    """Scheme of the tags; "auto" finds it from all tags of a file."""

    word_size: int = 100
    """Size of the embedding of a word, which is looked up in lower case."""
    hidden_size: int = 100
    """Hidden units of each layer and direction."""
    crf: bool = True
    """Score whole sequences of tags with a CRF under the constraints of the tag scheme; without it,
    each word gets its best tag independently."""

    recall_cost: float = 2.0
    """Margin in nats that training adds to "outside" at the words of an entity. A higher margin
    finds more entities, and more wrong ones."""

    @property
    def columns(self) -> Columns:
        """Where word and tag stand."""
        return Columns(self.word_column, self.tag_column)

    @property
    def named_scheme(self) -> WrittenScheme | None:
        """The scheme, None if it is to be found out."""
        return None if self.scheme == "auto" else self.scheme

    def model(self, vocabulary: Vocabulary) -> EntityTagger:
        """The static part of the model."""
        tags = tuple(vocabulary.tags)
        return EntityTagger(self.tagger, tags, scheme_of(tags), self.crf, self.recall_cost)

    def encoder(self, vocabulary: Vocabulary) -> Encoder:
        """What turns sentences into arrays."""
        return Encoder(vocabulary, min(self.word_width, vocabulary.longest_word))
