"""The settings of a model that goes on with music, and what follows from them."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import birnn_jax
from birnn_jax import Layer, TaggerParams, Total, init_tagger, locked_dropout, stack
from experiments.polyphony.midi import KEYS
from experiments.runner import loop
from experiments.runner.batches import Batches, bucket_lengths
from experiments.runner.keys import key_of_rows, split_rows
from experiments.runner.settings import RunSettings

BUNDLED = pathlib.Path(__file__).parents[1] / "data" / "jsb_chorales_quarter.json.gz"
CELLS = {"elman": birnn_jax.ELMAN, "gru": birnn_jax.GRU, "lstm": birnn_jax.LSTM}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RollSettings(RunSettings):
    """Pieces, and how they are put into batches."""

    data: pathlib.Path = BUNDLED
    """Pieces: .json or .json.gz with lists of MIDI numbers, a .mat file of piano rolls, or a folder
    with folders train, valid and test of MIDI files."""
    frames_per_beat: int = 1
    """Frames of a quarter note, of MIDI files; other files have their frames."""
    transpose: int = 0
    """In training a piece is moved up or down by so many semitones at most, anew in each batch. The
    bundled chorales are in C major or A minor, all of them, and are best left there."""
    frames_per_batch: int = 320
    """Frames of a batch, padding included."""
    buckets: int = 2
    """Different lengths of padded batches, at most; each is compiled once."""
    cell: Literal["elman", "gru", "lstm"] = "lstm"
    """Recurrent cell."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.require_positive("frames_per_beat", "frames_per_batch", "buckets")
        if self.transpose < 0:
            raise ValueError(f"transpose must not be negative, got {self.transpose}.")

    def batches(self, examples: Sequence[Any], lengths: Sequence[int], **options: Any) -> Batches:
        """Batches of examples, in buckets chosen for pieces of the lengths given."""
        buckets = bucket_lengths(lengths, self.buckets)
        size = max(self.frames_per_batch, buckets[-1])
        return Batches(examples, buckets=buckets, tokens_per_batch=size, **options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MusicConfig(RollSettings):
    """Everything that decides the outcome of a run."""

    layers: int = 1
    """Recurrent layers, each but the first with a connection around it."""
    hidden_size: int = 200
    """Hidden units of each layer."""
    dropout: float = 0.5
    """Rate of dropout of the outputs of every layer, one mask for all frames of a piece."""
    input_dropout: float = 0.1
    """Rate of dropout of the keys that are read, one mask for all frames of a piece."""
    epochs: int = 48
    """Passes over the training data, at most."""
    epochs_per_evaluation: int = 4
    """Passes from one evaluation on dev, and one checkpoint, to the next."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size")
        self.require_rates("dropout", "input_dropout")

    @property
    def model(self) -> "MusicModel":
        """The static part of the model."""
        first = Layer(CELLS[self.cell], direction="fwd")
        above = dataclasses.replace(first, connection="residual")
        layers = (first, *(above,) * (self.layers - 1))
        return MusicModel(layers, self.dropout, self.input_dropout, self.transpose)


class MusicModel(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    layers: tuple[Layer, ...]
    dropout: float
    input_dropout: float
    transpose: int


def init_params(config: MusicConfig, key: jax.Array) -> TaggerParams:
    """The parameters before training; consumes `key`. At first about four keys are expected."""
    sizes = {"input_size": KEYS, "hidden_size": config.hidden_size, "num_classes": KEYS}
    params = init_tagger(config.model.layers, key, **sizes)
    return params._replace(b=jnp.full_like(params.b, -3.0))


def score(
    model: MusicModel,
    params: TaggerParams,
    rolls: jax.Array,
    lengths: jax.Array | None = None,
    *,
    carry: Any = None,
    keys: jax.Array | None = None,
) -> tuple[Any, jax.Array]:
    """Scores every key for the frame after each frame.

    Args:
      model: static.
      params: from `init_params`.
      rolls: `[B, T, 88]`.
      lengths: `[B]`, None for T.
      carry: of the frames before; None before the first.
      keys: `[B]`, consumed by dropout; None is evaluation.

    Returns:
      The carry after the last frame, and logits `[B, T, 88]`.
    """
    if keys is not None:
        key_input, keys = split_rows(keys, 2)
        rolls = locked_dropout(rolls, model.input_dropout, key_input)
    return read(model.layers, params, rolls, lengths, model.dropout, carry=carry, keys=keys)


def read(
    layers: Sequence[Layer],
    params: TaggerParams,
    xs: jax.Array,
    lengths: jax.Array | None,
    dropout: float,
    *,
    carry: Any = None,
    keys: jax.Array | None = None,
) -> tuple[Any, jax.Array]:
    """A stack and a projection, with dropout of the outputs of every layer.

    `keys` are one for each row; None is evaluation.
    """
    key_stack, key_top = (None, None) if keys is None else split_rows(keys, 2)
    options = {"initial_carry": carry, "locked_dropout": dropout, "key": key_stack}
    carry, ys = stack(layers, params.rnn, xs, lengths, **options)
    ys = locked_dropout(ys, dropout, key_top)
    return carry, ys @ params.w + params.b[None, None]


def make_loss(model: MusicModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests.

    The loss of a frame is the sum of the binary cross entropies of the 88 keys given all frames
    before it, in nats; the first frame of a piece is given.
    """

    def loss_fn(params: Any, batch: Mapping[str, jax.Array], key: Any) -> dict[str, Total]:
        rolls, keys = batch["roll"], None
        if key is not None:
            key_shift, keys = split_rows(key_of_rows(key, batch["rows"]), 2)
            rolls = jax.vmap(functools.partial(transposed, model.transpose))(key_shift, rolls)
        lengths = jnp.maximum(batch["lengths"] - 1, 0)
        _, logits = score(model, params, rolls[:, :-1], lengths, keys=keys)
        nats = optax.sigmoid_binary_cross_entropy(logits, rolls[:, 1:]).sum(axis=-1)
        valid = jnp.arange(nats.shape[1])[None] < lengths[:, None]
        return {"loss": Total(jnp.where(valid, nats, 0).sum(), valid.sum(dtype=nats.dtype))}

    return loss_fn


def transposed(most: int, key: jax.Array, roll: jax.Array) -> jax.Array:
    """A roll `[T, 88]` moved by up to `most` semitones; what leaves the piano is gone."""
    shift = jax.random.randint(key, [], 0, 2 * most + 1)
    padded = jnp.pad(roll, [(0, 0), (most, most)])
    return jax.lax.dynamic_slice_in_dim(padded, shift, roll.shape[1], axis=1)


def make_training(
    config: MusicConfig, train: Sequence[np.ndarray], dev: Sequence[np.ndarray]
) -> loop.Training:
    """Says to the runner what to train."""
    lengths = [len(roll) for roll in train]
    batches = config.batches(_examples(train), lengths, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config),
        train=batches,
        dev=config.batches(_examples(dev), lengths),
        score=lambda means: -means["loss"],
        **config.training(batches.per_epoch, len(batches)),
    )


def _examples(rolls: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
    return [{"roll": roll} for roll in rolls]
