"""Learns to write down strings of spoken digits, by CTC.

    python examples/recognise_speech.py --run runs/digits

A training that was killed goes on where it was, if the same command is given again.
"""

from pathlib import Path

import jax
import optax
import tyro
from digits import read_digits

from birnn_jax import LSTM, Layer, dropout, make_optimizer
from birnn_jax.data import padded_batches
from birnn_jax.metrics import label_errors
from birnn_jax.models import (
    ctc_recogniser,
    ctc_recogniser_decode,
    ctc_recogniser_loss,
    init_ctc_recogniser,
)
from birnn_jax.training import fit

LAYERS = (Layer(LSTM, subsample=2),) * 2


def loss_fn(params, batch, key):
    (frames, digits), (lengths, counts) = batch.values, batch.lengths
    if key is not None:
        key, key_noise, key_input = jax.random.split(key, 3)
        noisy = frames + 0.3 * jax.random.normal(key_noise, frames.shape)
        frames = dropout(noisy, 0.2, key_input)
    logits, steps = ctc_recogniser(LAYERS, params, frames, lengths, dropout=0.4, key=key)
    loss = ctc_recogniser_loss(logits, steps, digits, counts)
    if key is not None:
        return {"loss": loss}
    found = ctc_recogniser_decode(logits, steps)
    return {"loss": loss, "errors": label_errors(digits, counts, *found)}


def main(epochs: int = 20, seed: int = 0, run: Path | None = None) -> None:
    parts = read_digits()
    train = padded_batches(parts["train"], batch_size=32, buckets=3, seed=seed)
    options = {"batch_size": 32, "buckets": train.buckets}
    dev, test = (padded_batches(parts[name], **options) for name in ("dev", "test"))
    optimizer = make_optimizer(optax.cosine_decay_schedule(4e-3, epochs * len(train)), clip_norm=1)
    key, key_params = jax.random.split(jax.random.key(seed))
    params = init_ctc_recogniser(LAYERS, key_params, 39, 96, num_classes=10)
    settings = {"dev": dev, "test": test, "epochs": epochs, "directory": run}
    fitted = fit(loss_fn, optimizer, params, train, key=key, **settings)
    print(f"accuracy {1 - fitted.test['errors']:.4f}")


tyro.cli(main)
