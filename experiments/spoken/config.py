"""The settings of a network that reads speech, and what follows from them."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

import jax
import optax

from birnn_jax import Layer, make_optimizer
from experiments.runner import loop
from experiments.runner.averaging import average_of, with_average
from experiments.runner.minibatches import Minibatches
from experiments.spoken.features import Features, Kind, num_frames
from experiments.spoken.model import CELLS, Readout, SpeechModel, Task, init_params, score, totals
from experiments.spoken.recordings import Parts, Recording
from experiments.spoken.utterances import Strings, Utterance, pad

BUNDLED = pathlib.Path(__file__).parents[1] / "data" / "fsdd_mfcc13_int8.npz"
_POSITIVE = (
    *("rate", "hidden_size", "epochs", "batch_size", "learning_rate", "clip_norm", "patience"),
    *("strings",),
)
_UNIT_SECONDS = 0.5  # the shortest padding
HELD_OUT_SEED = 7  # of the strings of dev and test, the same in every run


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Everything that decides the outcome of a run."""

    data: pathlib.Path = BUNDLED
    """Recordings with what is said in them: a folder of wav files with transcripts, or an .npz of
    the Free Spoken Digit Dataset."""
    held_out_speaker: str | None = None
    """Tests on all recordings of this speaker and trains on none of them; without, the test is
    that of the data, of speakers who are heard in training."""
    task: Task = "label"
    """Whether one label is learned for each recording, or a row of labels by CTC."""
    join: tuple[int, int] | None = None
    """With --task row: strings of so many recordings, fewest and most, of one speaker are joined;
    1 1 takes recordings as they are. If not given, 3 7 where each recording is one word."""
    strings: int = 1000
    """Joined strings of a pass, new ones in each; half as many are for dev and for test."""

    features: Kind = "mfcc"
    """What is computed of the sound every 10 ms: 13 cepstra or 26 log powers in mel bands."""
    deltas: int = 2
    """How many times their differences over time are added."""
    normalise: bool = True
    """Every feature has mean 0 and variance 1 over each recording."""
    rate: int = 8000
    """Samples a second to which wav files of other rates are resampled."""

    cell: Literal["elman", "gru", "lstm"] = "lstm"
    """Recurrent cell."""
    direction: Literal["both", "fwd", "bwd"] = "both"
    """Directions in which every layer reads the sound."""
    hidden_size: int = 96
    """Hidden units of each layer and direction."""
    subsample: tuple[int, ...] = (2, 2)
    """Steps that each layer, from the bottom up, reads as one: as many layers as numbers."""
    readout: Readout = "max"
    """With --task label: how the outputs of all steps become one vector."""
    dropout: float = 0.4
    """Rate of dropout between layers; of features half of that."""
    noise: float = 0.3
    """Standard deviation of noise on the features in training."""

    epochs: int = 20
    """Passes over the training data, at most."""
    batch_size: int = 32
    """Sounds of a batch."""
    learning_rate: float = 4e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine
    to nothing at its end."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is scaled down."""
    average_decay: float = 0.99
    """Decay of the average of the parameters that is evaluated; 0 is no average."""
    patience: int = 10
    """Evaluations on dev, one a pass, without a new best before training stops early."""
    beam_width: int = 16
    """With --task row: beginnings that the search keeps when it decodes."""
    seed: int = 0
    """Seed of parameters, strings, order and dropout. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        for name in (*_POSITIVE, "beam_width"):
            _require(getattr(self, name) > 0, f"{name} must be positive")
        for name in ("dropout", "average_decay"):
            _require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")
        for name in ("noise", "deltas"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative")
        _require(bool(self.subsample), "subsample must have a number for each layer")
        _require(min(self.subsample, default=1) > 0, "subsample must be positive")
        low, high = self.join or (1, 1)
        _require(1 <= low <= high, "join must be two numbers, the fewest and the most")
        _require(self.task == "row" or self.join is None, "join must be left out with --task label")

    @property
    def model(self) -> SpeechModel:
        """The static part of the model."""
        return SpeechModel(
            task=self.task,
            features=Features(self.features, self.rate, self.deltas, self.normalise),
            layers=tuple(
                Layer(CELLS[self.cell], direction=self.direction, subsample=every)
                for every in self.subsample
            ),
            readout=self.readout,
            dropout=self.dropout,
            noise=self.noise,
        )


def joined(config: SpeechConfig, recordings: Sequence[Recording]) -> tuple[int, int]:
    """How many recordings make a string, fewest and most."""
    if config.task == "label":
        return 1, 1
    single = all(len(one.words) == 1 for one in recordings)
    return tuple(config.join or ((3, 7) if single else (1, 1)))  # pyright: ignore


def labels_of(config: SpeechConfig, train: Sequence[Recording]) -> list[str]:
    """The words of training, each a label.

    Raises:
      ValueError: if a recording does not have one label with --task label.
    """
    if config.task == "label":
        for one in train:
            if len(one.words) != 1:
                raise ValueError(
                    f"{one.name} says {len(one.words)} words, but --task label takes one of each "
                    "recording; give --task row."
                )
    return sorted({word for one in train for word in one.words})


def make_training(config: SpeechConfig, parts: Parts, labels: Sequence[str]) -> loop.Training:
    """Says to the runner what to train."""
    train = make_batches(config, parts.train, labels, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config.model),
        optimizer=make_speech_optimizer(config, num_steps=len(train)),
        init_params=params_maker(config, len(labels)),
        train=train,
        dev=make_batches(config, parts.dev, labels),
        steps_per_evaluation=train.per_epoch,
        patience=config.patience,
        seed=config.seed,
        score=lambda means: -means["loss"],
        evaluated_params=average_of,
    )


def make_batches(
    config: SpeechConfig,
    recordings: Sequence[Recording],
    labels: Sequence[str],
    *,
    epochs: int = 1,
    seed: int | None = None,
) -> Minibatches:
    """Minibatches of recordings or of strings of them; without a seed, those to evaluate on."""
    draw = make_draw(config, recordings, labels, seed)
    frames = recordings[0].signal.ndim == 2
    unit = round(_UNIT_SECONDS * (100 if frames else config.rate))
    return Minibatches(
        draw,
        length=lambda utterance: len(utterance.signal),
        pad=functools.partial(pad, unit=unit),
        batch_size=config.batch_size,
        epochs=epochs,
        seed=seed,
    )


def make_draw(
    config: SpeechConfig, recordings: Sequence[Recording], labels: Sequence[str], seed: int | None
) -> Any:
    """The function from a pass to its utterances. A word that is no label is label -1."""
    place = {word: i for i, word in enumerate(labels)}
    utterances = [
        Utterance(one.signal, tuple(place.get(word, -1) for word in one.words), one.speaker)
        for one in recordings
    ]
    shortest, longest = joined(config, recordings)
    if longest == 1:
        require_room(config, recordings)
        return lambda epoch: utterances
    return Strings(
        utterances,
        shortest=shortest,
        longest=longest,
        number=config.strings if seed is not None else -(-config.strings // 2),
        seed=HELD_OUT_SEED if seed is None else seed,
    )


def require_room(config: SpeechConfig, recordings: Sequence[Recording]) -> None:
    """Refuses a recording that has more labels than the network has steps for them."""
    if config.task == "label":
        return
    for one in recordings:
        steps = len(one.signal)
        if one.signal.ndim == 1:
            steps = int(num_frames(config.model.features, steps))
        for every in config.subsample:
            steps = -(-steps // every)
        needed = len(one.words) + sum(
            a == b for a, b in zip(one.words, one.words[1:], strict=False)
        )
        if needed > steps:
            raise ValueError(
                f"{one.name} has {len(one.words)} labels but only {steps} steps for them: give "
                "smaller numbers to --subsample, or leave the recording out."
            )


def make_loss(model: SpeechModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        logits, lengths = score(model, params, batch, key)
        return totals(model, logits, lengths, batch)

    return loss_fn


def params_maker(config: SpeechConfig, num_labels: int) -> Any:
    """The function that makes the parameters from a key."""
    sizes = {"hidden_size": config.hidden_size, "num_labels": num_labels}
    return functools.partial(init_params, config.model, **sizes)


def make_speech_optimizer(config: SpeechConfig, *, num_steps: int) -> optax.GradientTransformation:
    """Clipping, Adam with a warm-up and a cosine, and the average of the parameters."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup_steps=num_steps // 20 + 1, decay_steps=num_steps + 1
    )
    return with_average(make_optimizer(schedule, clip_norm=config.clip_norm), config.average_decay)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(f"{sentence}.")
