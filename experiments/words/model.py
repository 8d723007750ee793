"""Words as vectors, and a tagger of words over them.

    spelled[t] = [h_fwd(n), h_bwd(1)] of a bidirectional recurrence over the n characters of word t
    x[t]       = dropout([embedding(word t), spelled[t]])
    logits[t]  = softmax layer over stack(x)[t]

A rare word is sometimes read as the unknown word in training, with probability a / (a + count), so
that the unknown word gets an embedding and the characters have to carry meaning.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

import birnn_jax
from birnn_jax import Bi, Cell
from birnn_jax.data import choose_buckets
from birnn_jax.models import CharacterEncoderParams, TaggerParams, character_encoder
from experiments.runner.data.batches import Batches, Example, by_rows
from experiments.runner.data.keys import keys_of_rows
from experiments.runner.run import loop
from experiments.runner.run.best import load_best
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.progress import printer
from experiments.words.config import WordReader, WordSettings, WordTagger
from experiments.words.data import NO_CHARACTER, UNKNOWN_WORD, Vocabulary


class WordParams(NamedTuple):
    """Parameters of `read_words`."""

    words: jax.Array  # [V, E]
    characters: jax.Array  # [C, F]
    speller: Bi[Any]


def init_words(
    cell: Cell,
    key: jax.Array,
    *,
    num_words: int,
    num_characters: int,
    word_size: int,
    character_size: int,
    speller_size: int,
) -> WordParams:
    """Makes the parameters; consumes `key`, of three keys."""
    key_words, key_characters, key_speller = key
    return WordParams(
        words=0.1 * jax.random.normal(key_words, [num_words, word_size]),
        characters=0.1 * jax.random.normal(key_characters, [num_characters, character_size]),
        speller=birnn_jax.init_bidirectional(
            cell, key_speller, input_size=character_size, hidden_size=speller_size
        ),
    )


def read_words(
    reader: WordReader,
    params: WordParams,
    batch: Mapping[str, jax.Array],
    key_word: jax.Array | None,
    key_input: jax.Array | None,
) -> jax.Array:
    """The words of a batch as vectors `[B, T, E + 2 * speller_size]`.

    Args:
      reader: how.
      params: from `init_words`.
      batch: words, counts `[B, T]` and characters `[B, T, W]`, as an `Encoder` makes them.
      key_word: `[B]` keys of the words that are read as unknown; None reads all as they are.
      key_input: `[B]` keys of dropout; None drops nothing.
    """
    words = batch["words"]
    if key_word is not None and reader.word_dropout > 0:
        rate = reader.word_dropout / (reader.word_dropout + batch["counts"])
        words = birnn_jax.word_dropout(words, rate, key_word, unknown_id=UNKNOWN_WORD)
    spelled = spell(reader.cell, params, batch["characters"])
    xs = jnp.concatenate([params.words[words], spelled], axis=-1)
    return birnn_jax.dropout(xs, reader.dropout, key_input)


def spell(cell: Cell, params: WordParams, characters: jax.Array) -> jax.Array:
    """Reads the characters `[B, T, W]` of each word: `[B, T, 2 * speller_size]`."""
    encoder = CharacterEncoderParams(params.characters, params.speller)
    lengths = (characters != NO_CHARACTER).sum(axis=-1)
    return character_encoder(cell, encoder, characters, lengths)


class WordTaggerParams(NamedTuple):
    """Parameters of `score`."""

    words: jax.Array  # [V, E]
    characters: jax.Array  # [C, F]
    speller: Bi[Any]
    tagger: TaggerParams

    @property
    def reader(self) -> WordParams:
        """Those of the words."""
        return WordParams(self.words, self.characters, self.speller)


def init_word_tagger(
    model: WordTagger, key: jax.Array, *, num_tags: int, hidden_size: int, **sizes: int
) -> WordTaggerParams:
    """Makes the parameters, with sizes as in `init_words`; consumes `key`."""
    keys = jax.random.split(key, 4)
    return WordTaggerParams(
        *init_words(model.cell, keys[:3], **sizes),
        tagger=birnn_jax.init_tagger(
            model.layers,
            keys[3],
            input_size=sizes["word_size"] + 2 * sizes["speller_size"],
            hidden_size=hidden_size,
            num_classes=num_tags,
        ),
    )


def score(
    model: WordTagger,
    params: WordTaggerParams,
    batch: Mapping[str, jax.Array],
    key: jax.Array | None,
) -> jax.Array:
    """Scores every tag for every word: logits `[B, T, K]`; no dropout where `key` is None.

    What is dropped in a row depends on `key` and on `batch["rows"]`, not on the rest of the batch.
    """
    key_word, key_input, key_stack = keys_of_rows(key, batch["rows"], 3)
    xs = read_words(model.reader, params.reader, batch, key_word, key_input)
    return birnn_jax.tagger(
        model.layers, params.tagger, xs, batch["lengths"], dropout=model.dropout, key=key_stack
    )


VOCABULARY = "vocabulary.json"
GROWING = ("words", "characters")  # parameters of words with rows for them


def extended(vocabulary: Vocabulary, origin: RunFolder | None) -> Vocabulary:
    """The vocabulary of training data, behind that of the run that the training starts from."""
    if origin is None:
        return vocabulary
    return vocabulary.extending(Vocabulary.load(origin.path / VOCABULARY))


_BUCKETS = (8, 16, 32, 64, 128)
S = TypeVar("S", bound=WordSettings)


class OfWords(Protocol):
    """A sentence or a text."""

    @property
    def words(self) -> Sequence[str]:
        """Its words."""
        ...


def with_buckets(settings: S, train: Sequence[OfWords], console: Console) -> S:
    """The settings with a number of padded lengths; if it is not given, it is chosen and said."""
    if settings.buckets is not None:
        return settings
    buckets = choose_buckets([len(item.words) for item in train], epochs=settings.epochs)
    *rest, last = map(str, buckets)
    lengths = f"{', '.join(rest)} or {last}" if rest else last
    printer(console)(
        f"Batches are padded to {lengths} words; --buckets sets the number of these lengths."
    )
    return dataclasses.replace(settings, buckets=len(buckets))


def make_word_training(
    settings: WordSettings,
    *,
    loss_fn: loop.LossFn,
    init_params: Callable[[jax.Array], Any],
    train: Sequence[Example],
    dev: Sequence[Example],
    metric: str,
) -> loop.Training:
    """Says to the runner what to train.

    Args:
      settings: of the model and its training.
      loss_fn: of a batch of examples.
      init_params: makes the parameters from a key.
      train: examples to learn.
      dev: examples that decide which checkpoint is best.
      metric: what decides it, of the totals of `loss_fn`; bigger is better.
    """
    lengths = [len(example["words"]) for example in train]
    make_batches = functools.partial(
        Batches,
        buckets=choose_buckets(lengths, settings.buckets, epochs=settings.epochs),
        tokens_per_batch=settings.tokens_per_batch,
    )
    batches = make_batches(train, epochs=settings.epochs, seed=settings.seed)
    return loop.Training(
        loss_fn=loss_fn,
        init_params=init_params,
        train=batches,
        dev=make_batches(dev),
        score=lambda means: means[metric],
        **settings.training(batches.per_epoch, len(batches)),
    )


def load_words(
    folder: RunFolder, settings: type[S], init_params: Callable[[S, Vocabulary, jax.Array], Any]
) -> tuple[S, Any, Vocabulary]:
    """The settings, the best parameters and the vocabulary of a run, from its folder alone."""
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    return *load_best(folder, settings, init_params, vocabulary), vocabulary


def label_rows(
    decode: Callable[[Any], Any], examples: Sequence[Example], tokens_per_batch: int
) -> list[np.ndarray]:
    """What `decode`, from a batch to arrays `[B, T]`, says of each example, without its padding."""
    batches = Batches(examples, buckets=_BUCKETS, tokens_per_batch=tokens_per_batch)
    rows = zip(by_rows(batches, decode), examples, strict=True)
    return [values[: len(example["words"])] for values, example in rows]
