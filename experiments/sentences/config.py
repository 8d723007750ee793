"""The settings of a classifier of sentences, and what follows from them."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from experiments.sentences.model import Readout, TextClassifier, TextParams, init_text_classifier
from experiments.sentences.text import Text
from experiments.tagging.files import FileSettings
from experiments.tagging.vectors import put_vectors
from experiments.tagging.vocabulary import Encoder, Vocabulary

BUNDLED = pathlib.Path(__file__).parents[1] / "data" / "sentiment_uci3000.tsv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextConfig(FileSettings):
    """Everything that decides the outcome of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: lines label<TAB>text, or label text, or part<TAB>label<TAB>source<TAB>text;
    plain or .gz. Of a file with parts the part train is read."""
    folds: int = 0
    """With data that has no test part: into how many folds --train is divided, one to test on. 0
    divides nothing."""
    fold: int = 0
    """Which of the folds to test on."""

    hidden_size: int = 32
    """Hidden units of each layer and direction."""
    dropout: float = 0.5
    """Rate of dropout before the stack and between its layers."""
    readout: Readout = "attention"
    """What becomes of the outputs for all words: the final states, the mean, the maximum, or a mean
    weighted by attention."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        if self.folds and not 0 <= self.fold < self.folds > 1:
            raise ValueError(f"fold {self.fold} of {self.folds} folds cannot be tested on.")

    def model(self) -> TextClassifier:
        """The static part of the model."""
        return TextClassifier(self.tagger, self.readout)


def build_text_vocabulary(texts: Sequence[Text]) -> Vocabulary:
    """Counts the words, characters and labels of training."""
    words = [word for text in texts for word in text.words]
    labels = collections.Counter(text.label for text in texts)
    return Vocabulary(
        counts=dict(collections.Counter(word.lower() for word in words)),
        characters=sorted({*"".join(words)}),
        tags=sorted(labels),
        usual_tag={},
        default_tag=labels.most_common(1)[0][0],
    )


def encode_texts(
    config: TextConfig, vocabulary: Vocabulary, texts: Sequence[Text]
) -> list[dict[str, np.ndarray]]:
    """What `Encoder.encode_words` makes of each text, and its label, -1 for one not in training."""
    encoder = Encoder(vocabulary, config.word_width)
    index = {label: i for i, label in enumerate(vocabulary.tags)}
    return [
        {**encoder.encode_words(text.words), "label": np.array(index.get(text.label, -1), np.int32)}
        for text in texts
    ]


def init_params(
    config: TextConfig, vocabulary: Vocabulary, vectors: dict[str, np.ndarray], key: jax.Array
) -> TextParams:
    """The parameters before training, words with a vector starting from it; consumes `key`."""
    sizes = config.sizes(vocabulary)
    params = init_text_classifier(config.model(), key, num_classes=len(vocabulary.tags), **sizes)
    return params._replace(words=put_vectors(params.words, vocabulary, vectors))
