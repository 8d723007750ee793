"""Training a translator, and the trained one from its run folder."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Total, accuracy, cross_entropy
from experiments.runner.data.batches import by_rows
from experiments.runner.data.parts import Part
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit
from experiments.translation.config import TranslationConfig, Translator
from experiments.translation.data import Pair
from experiments.translation.encoding import (
    Encoded,
    Lexicon,
    encode_pairs,
    load_lexicon,
    make_batches,
)
from experiments.translation.model import init_params, score
from experiments.translation.search import Search, find
from experiments.translation.subwords import END


def make_training(
    config: TranslationConfig, lexicon: Lexicon, parts: Mapping[Part, list[Pair]]
) -> loop.Training:
    """Says to the runner what to train."""
    train, dev = (encode_pairs(lexicon, parts[part]) for part in ("train", "dev"))
    batches = make_batches(config, train, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config),
        init_params=params_maker(config, lexicon),
        train=batches,
        dev=make_batches(config, dev),
        score=lambda means: -means["loss"],
        **config.training(batches.per_epoch, len(batches)),
    )


def make_loss(config: TranslationConfig) -> loop.LossFn:
    """The loss function: nats per subword, smoothed in training only."""
    model = config.model

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        forcing = 1 - (1 - config.teacher_forcing) * batch["progress"]
        logits, _ = score(model, params, batch, key, forcing)
        target = batch["target"]
        valid = jnp.arange(target.shape[1])[None] < batch["target_lengths"][:, None]
        loss = cross_entropy(logits, target, valid)
        if key is not None:
            loss = smoothed(loss, logits, valid, config.label_smoothing)
        return {"loss": loss, "accuracy": accuracy(logits, target, valid)}

    return loss_fn


def smoothed(loss: Total, logits: jax.Array, valid: jax.Array, share: float) -> Total:
    """Cross entropy with a target that gives a share of its probability to all classes alike.

    References:
      Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016.
    """
    alike = -jax.nn.log_softmax(logits).mean(axis=-1)
    return Total((1 - share) * loss.sum + share * jnp.where(valid, alike, 0).sum(), loss.count)


def params_maker(config: TranslationConfig, lexicon: Lexicon) -> Any:
    """The function that makes the parameters from a key."""
    return functools.partial(
        init_params,
        config.model,
        source_size=len(lexicon.source),
        target_size=len(lexicon.target),
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
    )


class TrainedTranslator(NamedTuple):
    """A model with its best parameters, and the subwords it knows."""

    config: TranslationConfig
    params: Any
    lexicon: Lexicon

    @property
    def search(self) -> Search:
        """The search of the settings."""
        return Search(self.config.beam_width, self.config.length_penalty)

    def translate(self, sentences: Sequence[str], search: Search | None = None) -> list[str]:
        """The translation of each sentence."""
        nothing = np.array([END], np.int32)
        pairs = [Encoded(self.lexicon.source.encode(sentence), nothing) for sentence in sentences]
        how = (self.config.model, search or self.search, self.params)
        found = by_rows(
            make_batches(self.config, pairs),
            lambda batch: find(*how, batch["source"], batch["source_lengths"]),
        )
        return [self.lexicon.target.decode(subwords[:length]) for subwords, length in found]

    def align(self, source: str, target: str) -> tuple[list[str], list[str], np.ndarray]:
        """Subwords of both sentences, and the weights of attention `[N, T]` between them."""
        pair = Encoded(
            self.lexicon.source.encode(source), np.append(self.lexicon.target.encode(target), END)
        )
        batch = make_batches(dataclasses.replace(self.config, batch_size=1), [pair])[0]
        _, weights = _score(self.config.model, self.params, batch)
        count = len(pair.target) - 1
        return (
            self.lexicon.source.pieces(pair.source),
            self.lexicon.target.pieces(pair.target[:count]),
            np.asarray(weights)[0, :count, : len(pair.source)],
        )


@quick_jit(static_argnames="model")
def _score(model: Translator, params: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
    return score(model, params, batch, None)


def load_translator(folder: RunFolder) -> TrainedTranslator:
    """The best checkpoint of a run, from its folder alone."""
    config, lexicon = TranslationConfig.of(folder), load_lexicon(folder.path)
    params = best_params(folder, config, params_maker(config, lexicon))
    return TrainedTranslator(config, params, lexicon)
