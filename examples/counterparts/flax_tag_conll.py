"""`examples/tag_conll.py` in Flax NNX, as its documentation teaches it."""

import gzip
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import tyro
from flax import nnx

DATA = Path(__file__).parents[2] / "experiments" / "data" / "pos_ewt_tiny.tsv.gz"
WIDTH = 16


def read_conll(path, part):
    sentences, words, tags, split = [], [], [], "train"
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for line in [*file, "\n"]:
            if line.startswith("# split = "):
                split = line.split()[-1]
            elif line.strip():
                words.append(line.split()[0])
                tags.append(line.split()[-1])
            elif words:
                if split == part:
                    sentences.append((words, tags))
                words, tags = [], []
    return sentences


def crf_log_likelihood(transitions, logits, labels, lengths):
    mask = jnp.arange(labels.shape[1]) < lengths[:, None]
    at_label = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    moves = transitions[labels[:, :-1], labels[:, 1:]]
    score = (at_label * mask).sum(axis=1) + (moves * mask[:, 1:]).sum(axis=1)

    def step(alpha, inputs):
        logit, valid = inputs
        new = jax.nn.logsumexp(alpha[:, :, None] + transitions, axis=1) + logit
        return jnp.where(valid[:, None], new, alpha), None

    rest = (logits[:, 1:].swapaxes(0, 1), mask[:, 1:].swapaxes(0, 1))
    alpha, _ = jax.lax.scan(step, logits[:, 0], rest)
    return score - jax.nn.logsumexp(alpha, axis=1)


def crf_decode(transitions, logits, lengths):
    paths = []
    for row, length in zip(logits, lengths, strict=True):
        best, pointers = row[0], []
        for logit in row[1:length]:
            scores = best[:, None] + transitions
            pointers.append(scores.argmax(axis=0))
            best = scores.max(axis=0) + logit
        path = [best.argmax()]
        for pointer in reversed(pointers):
            path.append(pointer[path[-1]])
        paths.append(path[::-1])
    return paths


def bidirectional(size, hidden_size, rngs):
    make_rnn = lambda: nnx.RNN(nnx.OptimizedLSTMCell(size, hidden_size, rngs=rngs), rngs=rngs)
    return nnx.Bidirectional(make_rnn(), make_rnn(), rngs=rngs)


class Tagger(nnx.Module):
    def __init__(self, num_words, num_characters, num_tags, rngs):
        self.words = nnx.Embed(num_words, 100, rngs=rngs)
        self.characters = nnx.Embed(num_characters, 32, rngs=rngs)
        self.speller = bidirectional(32, 64, rngs)
        self.dropout = nnx.Dropout(0.4, rngs=rngs)
        self.rnn = bidirectional(228, 128, rngs)
        self.dense = nnx.Linear(256, num_tags, rngs=rngs)
        self.transitions = nnx.Param(jnp.zeros([num_tags, num_tags]))

    def __call__(self, batch):
        characters = batch["characters"].reshape(-1, WIDTH)
        lengths = (characters != 0).sum(axis=1)
        spelled = self.speller(self.characters(characters), seq_lengths=lengths)
        last = jnp.maximum(lengths - 1, 0)
        ends = spelled[jnp.arange(len(last)), last, :64], spelled[:, 0, 64:]
        spelled = jnp.concatenate(ends, axis=-1).reshape(*batch["words"].shape, -1)
        xs = self.dropout(jnp.concatenate([self.words(batch["words"]), spelled], axis=-1))
        return self.dense(self.rnn(xs, seq_lengths=batch["lengths"]))


def loss_fn(model, batch):
    logits, labels = model(batch), batch["labels"]
    scores = crf_log_likelihood(model.transitions[...], logits, labels, batch["lengths"])
    return -scores.sum() / batch["lengths"].sum()


@nnx.jit
def train_step(model, optimizer, batch):
    model.train()
    loss, grads = nnx.value_and_grad(loss_fn)(model, batch)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def eval_step(model, batch):
    model.eval()
    return loss_fn(model, batch), model(batch)


def main(data: Path = DATA, epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    parts = {part: read_conll(data, part) for part in ("train", "dev", "test")}
    train = parts["train"]
    counts = Counter(word.lower() for words, _ in train for word in words)
    vocabulary = {word: i + 2 for i, word in enumerate(w for w in counts if counts[w] > 1)}
    alphabet = {c: i + 2 for i, c in enumerate({c: 0 for ws, _ in train for w in ws for c in w})}
    tag_ids = {tag: i for i, tag in enumerate(sorted({tag for _, tags in train for tag in tags}))}

    def encode(sentences):
        lengths = np.array([len(words) for words, _ in sentences])
        word_ids = np.zeros([len(sentences), lengths.max()], np.int32)
        labels, characters = np.zeros_like(word_ids), np.zeros([*word_ids.shape, WIDTH], np.int32)
        for i, (words, tags) in enumerate(sentences):
            for t, (word, tag) in enumerate(zip(words, tags, strict=True)):
                word_ids[i, t] = vocabulary.get(word.lower(), 1)
                labels[i, t] = tag_ids.get(tag, 0)
                ids = [alphabet.get(c, 1) for c in word[:WIDTH]]
                characters[i, t, : len(ids)] = ids
        return {"words": word_ids, "characters": characters, "labels": labels, "lengths": lengths}

    train, dev, test = (encode(sentences) for sentences in parts.values())
    steps = len(train["words"]) // 32
    model = Tagger(len(vocabulary) + 2, len(alphabet) + 2, len(tag_ids), nnx.Rngs(seed))
    schedule = optax.cosine_decay_schedule(3e-3, epochs * steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    manager, start = ocp.CheckpointManager(run.absolute()) if run else None, 0
    if manager and manager.latest_step() is not None:
        start = manager.latest_step() + 1
        target = nnx.state((model, optimizer))
        restored = manager.restore(start - 1, args=ocp.args.StandardRestore(target))
        nnx.update((model, optimizer), restored)
    for epoch in range(start, epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(train["words"]))
        losses = []
        for rows in order[: steps * 32].reshape(steps, 32):
            batch = {name: values[rows] for name, values in train.items()}
            losses.append(train_step(model, optimizer, batch))
        dev_loss, _ = eval_step(model, dev)
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, dev loss {dev_loss:.4f}", flush=True)
        if manager:
            manager.save(epoch, args=ocp.args.StandardSave(nnx.state((model, optimizer))))
    if manager:
        manager.wait_until_finished()
    _, logits = eval_step(model, test)
    paths = crf_decode(np.asarray(model.transitions[...]), np.asarray(logits), test["lengths"])
    answers = [[tag_ids.get(tag, -1) for tag in tags] for _, tags in parts["test"]]
    right = np.concatenate(paths) == np.concatenate(answers)
    print(f"accuracy {right.mean():.4f}")


tyro.cli(main)
