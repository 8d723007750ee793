"""What the runner has to know of a network that reads speech: minibatches and loss."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from experiments.runner import loop
from experiments.runner.minibatches import Minibatches
from experiments.spoken.config import SpeechConfig
from experiments.spoken.features import num_frames
from experiments.spoken.model import SpeechModel, init_params, score, totals
from experiments.spoken.recordings import Parts
from experiments.spoken.sounds import Recording
from experiments.spoken.utterances import Strings, Utterance, pad

_UNIT_SECONDS = 0.5  # the shortest padding
_HELD_OUT_SEED = 7  # of the strings of dev and test, the same in every run


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
        init_params=params_maker(config, len(labels)),
        train=train,
        dev=make_batches(config, parts.dev, labels),
        score=lambda means: -means["loss"],
        **config.training(train.per_epoch, len(train)),
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
) -> Callable[[int], list[Utterance]]:
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
        seed=_HELD_OUT_SEED if seed is None else seed,
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
