"""Networks that read features of speech: one label for a sound, or a row of labels without times.

xs     = features(signal)                        frames, see `features`
ys     = stack(xs)                               the upper layers read two steps as one
logits = softmax layer over a readout of ys      "label": one of K
       = softmax layer over ys[t], each step     "row": CTC, K labels and the blank
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Total, heads
from birnn_jax.data import row_keys
from experiments.runner.data.batches import by_rows
from experiments.runner.data.keys import keys_of_rows
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit
from experiments.speech.augment import mask_spectrum
from experiments.speech.config import SpeechConfig, SpeechModel
from experiments.speech.data import LABELS, Parts, can_choose, load_labels
from experiments.speech.features import cepstra, finish, spectrum_of, spectrum_or_cepstra
from experiments.speech.sounds import Recording
from experiments.speech.utterances import joined, make_batches

_MASKS = 0x5BEC  # folded into the key of what is hidden


def init_params(
    model: SpeechModel, key: jax.Array, *, hidden_size: int, num_labels: int
) -> birnn_jax.models.ClassifierParams | birnn_jax.models.TaggerParams:
    """Makes the parameters; consumes `key`."""
    sizes = {"input_size": model.features.size, "hidden_size": hidden_size}
    if model.task == "label":
        return birnn_jax.init_classifier(
            model.layers, key, **sizes, num_classes=num_labels, readout=model.readout
        )
    return birnn_jax.init_tagger(model.layers, key, **sizes, num_classes=num_labels + 1)


def score(
    model: SpeechModel, params: Any, batch: Mapping[str, jax.Array], key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Scores labels; there is no dropout and no noise where `key` is None.

    What a row gets depends on `key` and on `batch["rows"]`, not on the rest of the batch.

    Returns:
      Logits `[B, K]`, or `[B, S, 1 + K]` with the blank in front; and how many steps are valid,
      `[B]`: of the features, or of the S steps.
    """
    xs, lengths = _features(model, batch, key)
    key_noise, key_input, key_stack = keys_of_rows(key, batch.get("rows"), 3)
    if key_noise is not None:
        noise = jax.vmap(lambda key: jax.random.normal(key, xs.shape[1:]))
        xs = xs + model.noise * noise(key_noise)
    xs = birnn_jax.dropout(xs, model.dropout / 2, key_input)
    if model.task == "label":
        options = {"readout": model.readout, "dropout": model.dropout, "key": key_stack}
        return birnn_jax.classifier(model.layers, params, xs, lengths, **options), lengths
    logits = birnn_jax.tagger(
        model.layers, params, xs, lengths, dropout=model.dropout, key=key_stack
    )
    return logits, birnn_jax.stack_lengths(model.layers, lengths)  # pyright: ignore


def _features(
    model: SpeechModel, batch: Mapping[str, jax.Array], key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Features `[B, T, F]` with stretches hidden, and valid frames `[B]`."""
    static, lengths = spectrum_or_cepstra(model.features, batch["signals"], batch["lengths"])
    if key is not None and model.masks.number:
        # A key of its own: what else is drawn is the same with and without masks.
        keys = row_keys(jax.random.fold_in(key, _MASKS), batch["rows"])
        is_mfcc = model.features.kind == "mfcc"
        spectrum = spectrum_of(static) if is_mfcc else static
        spectrum = jax.vmap(functools.partial(mask_spectrum, model.masks))(spectrum, lengths, keys)
        static = cepstra(spectrum) if is_mfcc else spectrum
    return finish(model.features, static, lengths), lengths


def totals(
    model: SpeechModel, logits: jax.Array, lengths: jax.Array, batch: Mapping[str, jax.Array]
) -> dict[str, Total]:
    """Loss, and the share of sounds whose labels are all right."""
    labels, present = batch["labels"], lengths > 0
    if model.task == "label":
        return {
            "loss": birnn_jax.cross_entropy(logits, labels[:, 0], present),
            "accuracy": birnn_jax.accuracy(logits, labels[:, 0], present),
        }
    loss = heads.ctc_loss(logits, lengths, labels + 1, batch["label_lengths"], zero_infinity=True)
    found, counts = heads.ctc_greedy_decode(logits, lengths)
    size = max(found.shape[1], labels.shape[1])
    wanted = jnp.arange(labels.shape[1])[None] < batch["label_lengths"][:, None]
    gold = _pad(jnp.where(wanted, labels + 1, -1), size)
    right = (counts == batch["label_lengths"]) & (_pad(found, size) == gold).all(axis=1)
    return {"loss": loss, "accuracy": Total((right & present).sum() * 1.0, present.sum() * 1.0)}


def _pad(labels: jax.Array, size: int) -> jax.Array:
    return jnp.pad(labels, ((0, 0), (0, size - labels.shape[1])), constant_values=-1)


def make_loss(model: SpeechModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        logits, lengths = score(model, params, batch, key)
        return totals(model, logits, lengths, batch)

    return loss_fn


def make_training(config: SpeechConfig, parts: Parts, labels: Sequence[str]) -> loop.Training:
    """Says to the runner what to train."""
    train = make_batches(config, parts.train, labels, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=params_maker(config, len(labels)),
        train=train,
        dev=make_batches(config, parts.dev, labels) if parts.dev else (),
        score=_best_on_dev if can_choose(len(parts.dev)) else _newest,
        **config.training(train.per_epoch, len(train)),
    )


def _best_on_dev(means: Mapping[str, float]) -> float:
    return -means["loss"]


def _newest(means: Mapping[str, float]) -> float:
    return means["step"]


def params_maker(config: SpeechConfig, num_labels: int) -> Any:
    """The function that makes the parameters from a key."""
    sizes = {"hidden_size": config.recipe.hidden_size, "num_labels": num_labels}
    return functools.partial(init_params, config.model, **sizes)


class Heard(NamedTuple):
    """What was said in a sound, and what was heard."""

    said: tuple[str, ...]
    heard: tuple[str, ...]
    name: str

    @property
    def is_right(self) -> bool:
        """Whether every label is right."""
        return self.said == self.heard


class TrainedListener(NamedTuple):
    """A model with its best parameters, and the words it knows."""

    config: SpeechConfig
    params: Any
    labels: list[str]

    def listen(self, recordings: Sequence[Recording], *, greedy: bool = False) -> list[Heard]:
        """What is heard in recordings, or in strings of them where the run joins them.

        Args:
          recordings: in any order.
          greedy: takes the best path of CTC in place of a beam search.
        """
        config, known = self.config, self.known_with(recordings)
        batches = make_batches(config, recordings, known)
        width = 0 if greedy else config.beam_width
        strings = joined(config, recordings)[1] > 1
        rows = by_rows(
            batches,
            lambda batch: (
                batch["labels"],
                batch["label_lengths"],
                _decode(config.model, self.params, batch, width),
            ),
        )
        return [
            Heard(
                tuple(known[k] for k in wanted[:count]),
                tuple(self.labels[k] for k in labels if k >= 0),
                f"string {number}" if strings else recordings[number - 1].name,
            )
            for number, (wanted, count, labels) in enumerate(rows, start=1)
        ]

    def known_with(self, recordings: Sequence[Recording]) -> list[str]:
        """The words that the network knows, and behind them others of the recordings."""
        words = {word for item in recordings for word in item.words}
        return [*self.labels, *sorted(words - set(self.labels))]

    def transcribe(self, recordings: Sequence[Recording]) -> list[tuple[str, ...]]:
        """The words in each recording as it is, in order; what is said in it is not looked at."""
        config = dataclasses.replace(self.config, join=None)
        if config.task == "row":
            config = dataclasses.replace(config, join=(1, 1))
        said = [item._replace(words=()) for item in recordings]
        return [item.heard for item in self._replace(config=config).listen(said)]


@quick_jit(static_argnames=("model", "width"))
def _decode(model: SpeechModel, params: Any, batch: dict[str, jax.Array], width: int) -> jax.Array:
    """Labels `[B, S]`, -1 behind them."""
    logits, lengths = score(model, params, batch, None)
    if model.task == "label":
        return logits.argmax(axis=-1)[:, None]
    if width == 0:
        return heads.ctc_greedy_decode(logits, lengths)[0] - 1
    return heads.ctc_beam_decode(logits, lengths, width=width)[0][:, 0] - 1


def load_listener(folder: RunFolder) -> TrainedListener:
    """The best checkpoint of a run, from its folder alone."""
    config = SpeechConfig.of(folder)
    labels = load_labels(folder.path / LABELS)
    params = best_params(folder, config, params_maker(config, len(labels)))
    return TrainedListener(config, params, labels)
