"""A model that expects the next frame of a piano roll."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from birnn_jax import Total, init_tagger, locked_dropout
from birnn_jax.data import row_keys, split_row_keys
from birnn_jax.models import TaggerParams
from birnn_jax.training import evaluate
from experiments.music.compose.config import MusicConfig, MusicModel
from experiments.music.midi import KEYS
from experiments.music.model import read
from experiments.runner.run import loop
from experiments.runner.run.best import load_best
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit


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
        key_input, keys = split_row_keys(keys, 2)
        rolls = locked_dropout(rolls, model.input_dropout, key_input)
    return read(model.layers, params, rolls, lengths, model.dropout, carry=carry, keys=keys)


def make_loss(model: MusicModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests.

    The loss of a frame is the sum of the binary cross entropies of the 88 keys given all frames
    before it, in nats; the first frame of a piece is given.
    """

    def loss_fn(params: Any, batch: Mapping[str, jax.Array], key: Any) -> dict[str, Total]:
        rolls, keys = batch["roll"], None
        if key is not None:
            key_shift, keys = split_row_keys(row_keys(key, batch["rows"]), 2)
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


def init_params(config: MusicConfig, key: jax.Array) -> TaggerParams:
    """The parameters before training; consumes `key`. At first about four keys are expected."""
    sizes = {"input_size": KEYS, "hidden_size": config.hidden_size, "num_classes": KEYS}
    params = init_tagger(config.model.layers, key, **sizes)
    return params._replace(b=jnp.full_like(params.b, -3.0))


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


class TrainedComposer(NamedTuple):
    """A model that continues music, with its best parameters."""

    config: MusicConfig
    params: Any

    def measure(self, rolls: Sequence[np.ndarray]) -> float:
        """Nats a frame, over every frame but the first of each piece."""
        examples = [{"roll": roll} for roll in rolls]
        batches = self.config.batches(examples, [len(roll) for roll in rolls])
        eval_step = functools.partial(_music_totals, self.config.model)
        return evaluate(eval_step, self.params, batches)["loss"]


def load_composer(folder: RunFolder) -> TrainedComposer:
    """The best checkpoint of a run, from its folder alone."""
    return TrainedComposer(*load_best(folder, MusicConfig, init_params))


@quick_jit(static_argnames="model")
def _music_totals(model: MusicModel, params: Any, batch: Any) -> Any:
    return make_loss(model)(params, batch, None)
