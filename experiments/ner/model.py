"""A tagger of entities: the scores of a tagger of words, and a CRF that knows the tag scheme.

Without the CRF every word gets the tag with its highest score.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

import birnn_jax
from birnn_jax import Total
from birnn_jax.heads import (
    CRFParams,
    constrain_crf,
    crf_decode,
    crf_loss,
    init_crf,
    tag_constraints,
)
from birnn_jax.metrics import entity_f1
from experiments.ner.config import EntityConfig, EntityTagger
from experiments.ner.schemes import OUTSIDE
from experiments.runner.data.parts import Part
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit
from experiments.words.data import Sentence, Vocabulary
from experiments.words.model import (
    WordTaggerParams,
    init_word_tagger,
    label_rows,
    load_words,
    make_word_training,
    score,
)
from experiments.words.vectors import put_vectors

Batch = Mapping[str, jax.Array]


class EntityParams(NamedTuple):
    """Parameters of an `EntityTagger`."""

    words: WordTaggerParams
    crf: CRFParams | None


def init_entities(model: EntityTagger, key: jax.Array, **sizes: int) -> EntityParams:
    """Makes the parameters, with sizes as in `init_word_tagger`; consumes `key`."""
    num_tags = len(model.tags)
    words = init_word_tagger(model.words, key, num_tags=num_tags, **sizes)
    return EntityParams(words, init_crf(num_classes=num_tags) if model.crf else None)


def decode(model: EntityTagger, params: EntityParams, batch: Batch) -> jax.Array:
    """The best tags `[B, T]`, as indices."""
    logits = score(model.words, params.words, batch, key=None)
    return _best(model, params, logits, batch["lengths"])


def entity_totals(
    model: EntityTagger, params: EntityParams, batch: Batch, key: jax.Array | None
) -> dict[str, Total]:
    """The loss of a batch, in nats a word; and, where `key` is None, F1 over its entities.

    A sentence with a tag that training does not have has no loss.
    """
    logits = score(model.words, params.words, batch, key)
    labels, lengths = batch["labels"], batch["lengths"]
    steps = jnp.arange(logits.shape[1])[None]
    strange = (labels < 0) & (steps < lengths[:, None])
    learned = jnp.where(strange.any(axis=1), 0, lengths)
    harder = logits + _costs(model, labels)
    if params.crf is None:
        loss = birnn_jax.cross_entropy(harder, labels, steps < learned[:, None])
    else:
        loss = crf_loss(chain(model, params.crf), harder, jnp.maximum(labels, 0), learned)
    if key is not None:
        return {"loss": loss}
    predicted = _best(model, params, logits, lengths)
    return {"loss": loss, "f1": entity_f1(model.tags, labels, predicted, lengths)}


def _costs(model: EntityTagger, labels: jax.Array) -> jax.Array:
    """`[B, T, K]`, the head start of "outside" at the words of entities: a softmax margin.

    Mohit et al., Recall-Oriented Learning of Named Entities in Arabic Wikipedia, 2012.
    """
    outside = jnp.array([tag == OUTSIDE for tag in model.tags])
    return model.recall_cost * (~outside[labels][..., None] & outside[None, None])


def _best(
    model: EntityTagger, params: EntityParams, logits: jax.Array, lengths: jax.Array
) -> jax.Array:
    if params.crf is None:
        return logits.argmax(axis=-1)
    labels, _ = crf_decode(chain(model, params.crf), logits, lengths)
    return labels


def chain(model: EntityTagger, params: CRFParams) -> CRFParams:
    """The CRF with what the tag scheme forbids made impossible."""
    return constrain_crf(params, tag_constraints(model.tags, scheme=cast(Any, model.scheme)))


def init_params(
    config: EntityConfig,
    vocabulary: Vocabulary,
    key: jax.Array,
    vectors: Mapping[str, np.ndarray] | None = None,
) -> EntityParams:
    """The parameters before training, words with a vector starting from it; consumes `key`."""
    params = init_entities(config.model(vocabulary), key, **config.sizes(vocabulary))
    table = put_vectors(params.words.words, vocabulary, vectors or {})
    return params._replace(words=params.words._replace(words=table))


class TrainedEntityTagger(NamedTuple):
    """Finds entities with a trained model."""

    config: EntityConfig
    params: Any
    vocabulary: Vocabulary

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each word of each sentence; a sentence has at least one word."""
        encoder = self.config.encoder(self.vocabulary)
        labels = label_rows(
            functools.partial(_decode, self.config.model(self.vocabulary), self.params),
            [encoder.encode_words(words) for words in sentences],
            self.config.tokens_per_batch,
        )
        return [[self.vocabulary.tags[k] for k in row] for row in labels]


@quick_jit(static_argnames="model")
def _decode(model: EntityTagger, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return decode(model, params, batch)


def make_training(
    config: EntityConfig,
    vocabulary: Vocabulary,
    parts: dict[Part, list[Sentence]],
    vectors: dict[str, Any],
) -> loop.Training:
    """Says to the runner what to train."""
    encode = config.encoder(vocabulary).encode_all
    return make_word_training(
        config,
        loss_fn=functools.partial(entity_totals, config.model(vocabulary)),
        init_params=functools.partial(init_params, config, vocabulary, vectors=vectors),
        train=encode(parts["train"]),
        dev=encode(parts["dev"]),
        metric="f1",
    )


def load_tagger(folder: RunFolder) -> TrainedEntityTagger:
    """The best checkpoint of a run, from its folder alone."""
    return TrainedEntityTagger(*load_words(folder, EntityConfig, init_params))
