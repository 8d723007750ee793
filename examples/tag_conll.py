"""Trains a tagger with a conditional random field on any files of CoNLL columns.

    python examples/tag_conll.py --run runs/tagger
    python examples/tag_conll.py eng.train eng.testa eng.testb --run runs/entities

Without files it learns the bundled part-of-speech tags. It knows words by vectors of their own and
by their characters. A training that was killed continues where it was, if the same command is given
again.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import tyro
from tyro.conf import Positional

from birnn_jax import LSTM, accuracy, dropout, make_optimizer
from birnn_jax.data import pad, padded_batches
from birnn_jax.models import (
    character_encoder,
    crf_tagger,
    crf_tagger_decode,
    crf_tagger_loss,
    init_character_encoder,
    init_crf_tagger,
)
from birnn_jax.text import build_vocabulary, read_conll
from birnn_jax.training import fit

DATA = Path(__file__).parents[1] / "experiments" / "data" / "pos_ewt_tiny.tsv.gz"


def loss_fn(params, batch, key):
    (table, speller, tagger), (words, spelling, labels) = params, batch.values
    spelled = character_encoder(LSTM, speller, spelling, (spelling > 0).sum(axis=-1))
    xs = dropout(jnp.concatenate([table[words], spelled], axis=-1), 0.4, key)
    logits = crf_tagger(LSTM, tagger, xs, lengths := batch.lengths[0])
    loss = crf_tagger_loss(tagger, logits, labels, lengths)
    best = jax.nn.one_hot(crf_tagger_decode(tagger, logits, lengths), logits.shape[-1])
    return {"loss": loss, "accuracy": accuracy(best, labels, lengths)}


def main(*files: Positional[Path], epochs: int = 10, seed: int = 0, run: Path | None = None):
    places = [(path, None) for path in files] or [(DATA, p) for p in ("train", "dev", "test")]
    parts = [read_conll(path, part=part) for path, part in places]
    words = build_vocabulary([map(str.lower, row) for row, _ in parts[0]], min_count=2)
    characters = build_vocabulary([list(word) for row, _ in parts[0] for word in row])
    tags = build_vocabulary([labels for _, labels in parts[0]], padding=False)

    def encode(row, labels):
        spelling = pad([characters.encode(word[:16]) for word in row], length=16).values
        return words.encode(map(str.lower, row)), spelling, tags.encode(labels)

    examples = [[encode(*sentence) for sentence in part] for part in parts]
    train, dev, test = (padded_batches(e, batch_size=32, buckets=2, seed=seed) for e in examples)
    optimizer = make_optimizer(optax.cosine_decay_schedule(3e-3, epochs * len(train)), clip_norm=1)
    keys = jax.random.split(jax.random.key(seed), 4)
    sizes = {"character_size": 32, "hidden_size": 64}
    table = 0.1 * jax.random.normal(keys[0], [len(words), 100])
    speller = init_character_encoder(LSTM, keys[1], num_characters=len(characters), **sizes)
    params = table, speller, init_crf_tagger(LSTM, keys[2], 228, 128, num_classes=len(tags))
    options = {"dev": dev, "test": test, "epochs": epochs, "directory": run, "score": "accuracy"}
    fitted = fit(loss_fn, optimizer, params, train, key=keys[3], **options)
    print(f"accuracy {fitted.test['accuracy']:.4f}")


tyro.cli(main)
