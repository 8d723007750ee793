"""Training a network that reads speech, and the trained one from its run folder."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from birnn_jax import heads
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.speech.config import SpeechConfig
from experiments.speech.data import LABELS, Parts, load_labels
from experiments.speech.model import SpeechModel, init_params, make_loss, score
from experiments.speech.sounds import Recording
from experiments.speech.utterances import joined, make_batches


def make_training(config: SpeechConfig, parts: Parts, labels: Sequence[str]) -> loop.Training:
    """Says to the runner what to train."""
    train = make_batches(config, parts.train, labels, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=params_maker(config, len(labels)),
        train=train,
        dev=make_batches(config, parts.dev, labels),
        score=lambda means: -means["loss"],
        **config.training(train.per_epoch, len(train)),
    )


def params_maker(config: SpeechConfig, num_labels: int) -> Any:
    """The function that makes the parameters from a key."""
    sizes = {"hidden_size": config.hidden_size, "num_labels": num_labels}
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
        config = self.config
        unknown = sorted({word for one in recordings for word in one.words} - set(self.labels))
        known = [*self.labels, *unknown]
        batches = make_batches(config, recordings, known)
        width = 0 if greedy else config.beam_width
        strings = joined(config, recordings)[1] > 1
        heard: dict[int, Heard] = {}
        for i in range(len(batches)):
            batch = batches[i]
            found = np.asarray(_decode(config.model, self.params, jax.device_put(batch), width))
            said = zip(batch["labels"], batch["label_lengths"], strict=True)
            for row, (wanted, count), labels in zip(batch["rows"], said, found, strict=True):
                heard[int(row)] = Heard(
                    tuple(known[k] for k in wanted[:count]),
                    tuple(self.labels[k] for k in labels if k >= 0),
                    f"string {row + 1}" if strings else recordings[row].name,
                )
        return [heard[row] for row in sorted(heard) if row >= 0]

    def transcribe(self, recordings: Sequence[Recording]) -> list[tuple[str, ...]]:
        """The words in each recording as it is, in order; what is said in it is not looked at."""
        config = dataclasses.replace(self.config, join=None)
        if config.task == "row":
            config = dataclasses.replace(config, join=(1, 1))
        said = [one._replace(words=()) for one in recordings]
        return [one.heard for one in self._replace(config=config).listen(said)]


@jax.jit(static_argnames=("model", "width"))
def _decode(model: SpeechModel, params: Any, batch: dict[str, jax.Array], width: int) -> jax.Array:
    """Labels `[B, S]`, -1 behind them."""
    logits, lengths = score(model, params, batch, None)
    if model.task == "label":
        return logits.argmax(axis=-1)[:, None]
    if width == 0:
        return heads.ctc_greedy_decode(logits, lengths)[0] - 1
    return heads.ctc_beam_decode(logits, lengths, width=width)[0][:, 0] - 1


def start_run(path: pathlib.Path, config: SpeechConfig, *, experiment: str) -> RunFolder:
    """Makes or takes up the folder of a run."""
    settings = dataclasses.asdict(config)
    data = {"data": settings.pop("data")}
    return RunFolder.start(path, experiment=experiment, settings=settings, data=data)


def config_of(folder: RunFolder) -> SpeechConfig:
    """The settings of a run."""
    settings = dict(folder.settings)
    for name in ("subsample", "join"):
        settings[name] = settings[name] and tuple(settings[name])
    return SpeechConfig(**settings, data=pathlib.Path(folder.config["data"]["data"]["path"]))


def load_listener(folder: RunFolder) -> TrainedListener:
    """The best checkpoint of a run, from its folder alone."""
    config = config_of(folder)
    labels = load_labels(folder.path / LABELS)
    params = best_params(folder, config, params_maker(config, len(labels)))
    return TrainedListener(config, params, labels)
