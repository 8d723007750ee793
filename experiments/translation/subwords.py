"""Subwords, learned from the sentences of training by SentencePiece."""

import collections
import io
import pathlib
from collections.abc import Sequence

import numpy as np
import sentencepiece

from experiments.runner.data.files import parsed_as, read_bytes
from experiments.runner.run.folder import write_bytes

PAD, UNKNOWN, BEGIN, END = range(4)


class Subwords:
    """Cuts sentences into the subwords of a unigram language model, and joins them again.

    References:
      Kudo, Subword Regularization, 2018; Kudo and Richardson, SentencePiece, 2018.
    """

    def __init__(self, model: bytes):
        """Takes what `learn` made."""
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def learn(cls, sentences: Sequence[str], size: int) -> "Subwords":
        """Learns at most `size` subwords, those for padding, unknown, begin and end included.

        At most two thirds of them are single characters, or as many as 98 % of the text need; rarer
        characters are unknown.

        Raises:
          ValueError: if these do not fit.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                vocab_size=size,
                hard_vocab_limit=False,
                character_coverage=_coverage(sentences, 2 * size // 3),
                pad_id=PAD,
                unk_id=UNKNOWN,
                bos_id=BEGIN,
                eos_id=END,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(f"Subwords cannot be learned: {error}; try another number.") from None
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: pathlib.Path) -> "Subwords":
        """Reads what `save` wrote.

        Raises:
          ValueError: if the file is something else.
        """
        content = read_bytes(path)
        with parsed_as(path, "a model of SentencePiece"):
            return cls(content)

    def save(self, path: pathlib.Path) -> None:
        """Writes the model of SentencePiece as it is."""
        write_bytes(path, self.model)

    def __len__(self) -> int:
        return self._processor.get_piece_size()

    def encode(self, sentence: str) -> np.ndarray:
        """The subwords of a sentence, `[N]`, without begin and end."""
        return np.array(self._processor.encode(sentence), np.int32)

    def decode(self, subwords: Sequence[int] | np.ndarray) -> str:
        """The sentence of subwords."""
        return self._processor.decode([int(subword) for subword in subwords])

    def pieces(self, subwords: Sequence[int] | np.ndarray) -> list[str]:
        """How each subword is written; "▁" is a space."""
        return [self._processor.id_to_piece(int(subword)) for subword in subwords]


def _coverage(sentences: Sequence[str], number: int) -> float:
    """The share of all characters that the `number` most frequent are."""
    counts = collections.Counter(character for sentence in sentences for character in sentence)
    kept = sum(count for _, count in counts.most_common(number))
    return float(np.clip(kept / counts.total(), 0.98, 0.9995))  # less is not taken
