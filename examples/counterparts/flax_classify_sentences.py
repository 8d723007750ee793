"""`examples/classify_sentences.py` in Flax NNX, as its documentation teaches it."""

import re
from collections import Counter
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import tyro
from flax import nnx

DATA = Path(__file__).parents[2] / "experiments" / "data" / "sentiment_uci3000.tsv"


class Classifier(nnx.Module):
    def __init__(self, num_words, num_classes, rngs):
        self.words = nnx.Embed(num_words, 50, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        make_rnn = lambda: nnx.RNN(nnx.OptimizedLSTMCell(50, 32, rngs=rngs), rngs=rngs)
        self.rnn = nnx.Bidirectional(make_rnn(), make_rnn(), rngs=rngs)
        self.dense = nnx.Linear(64, num_classes, rngs=rngs)

    def __call__(self, batch):
        xs = self.dropout(self.words(batch["words"]))
        ys = self.rnn(xs, seq_lengths=batch["lengths"])
        mask = jnp.arange(ys.shape[1]) < batch["lengths"][:, None]
        mean = jnp.where(mask[..., None], ys, 0).sum(axis=1) / batch["lengths"][:, None]
        return self.dense(mean)


def loss_fn(model, batch):
    logits = model(batch)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])
    return losses.mean(), logits


@nnx.jit
def train_step(model, optimizer, metrics, batch):
    model.train()
    (loss, logits), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model, batch)
    metrics.update(loss=loss, logits=logits, labels=batch["labels"])
    optimizer.update(model, grads)


@nnx.jit
def eval_step(model, metrics, batch):
    model.eval()
    loss, logits = loss_fn(model, batch)
    metrics.update(loss=loss, logits=logits, labels=batch["labels"])


def main(data: Path = DATA, epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    lines = [line.split("\t") for line in data.read_text(encoding="utf-8").splitlines()]
    texts = [re.findall(r"\w+|[^\w\s]", line[-1].lower()) for line in lines]
    counts = Counter(
        word for line, text in zip(lines, texts) if line[0] == "train" for word in text
    )
    vocabulary = {word: i + 2 for i, word in enumerate(w for w in counts if counts[w] > 1)}
    class_ids = {name: i for i, name in enumerate(sorted({line[1] for line in lines}))}

    def encode(part):
        chosen = [i for i, line in enumerate(lines) if line[0] == part]
        lengths = np.array([len(texts[i]) for i in chosen])
        words = np.zeros([len(chosen), lengths.max()], np.int32)
        for row, i in enumerate(chosen):
            words[row, : lengths[row]] = [vocabulary.get(word, 1) for word in texts[i]]
        labels = np.array([class_ids[lines[i][1]] for i in chosen])
        return {"words": words, "labels": labels, "lengths": lengths}

    train, dev, test = map(encode, ("train", "dev", "test"))
    steps = len(train["words"]) // 32
    model = Classifier(len(vocabulary) + 2, len(class_ids), nnx.Rngs(seed))
    schedule = optax.cosine_decay_schedule(3e-3, epochs * steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    metrics = nnx.MultiMetric(accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss"))
    manager, start = ocp.CheckpointManager(run.absolute()) if run else None, 0
    if manager and manager.latest_step() is not None:
        start = manager.latest_step() + 1
        target = nnx.state((model, optimizer))
        restored = manager.restore(start - 1, args=ocp.args.StandardRestore(target))
        nnx.update((model, optimizer), restored)
    for epoch in range(start, epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(train["words"]))
        for rows in order[: steps * 32].reshape(steps, 32):
            batch = {name: values[rows] for name, values in train.items()}
            train_step(model, optimizer, metrics, batch)
        train_loss = metrics.compute()["loss"]
        metrics.reset()
        eval_step(model, metrics, dev)
        print(f"epoch {epoch + 1}: loss {train_loss:.4f}, dev {metrics.compute()}", flush=True)
        metrics.reset()
        if manager:
            manager.save(epoch, args=ocp.args.StandardSave(nnx.state((model, optimizer))))
    if manager:
        manager.wait_until_finished()
    eval_step(model, metrics, test)
    print(f"accuracy {metrics.compute()['accuracy']:.4f}")


tyro.cli(main)
