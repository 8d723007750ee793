"""`examples/recognise_speech.py` in Flax NNX, as its documentation teaches it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import tyro
from digits import read_digits
from flax import nnx


def count_edits(wanted, found):
    row = list(range(len(found) + 1))
    for i, label in enumerate(wanted):
        before, row[0] = row[0], i + 1
        for j, other in enumerate(found):
            before, row[j + 1] = (
                row[j + 1],
                min(row[j] + 1, row[j + 1] + 1, before + (label != other)),
            )
    return row[-1]


def bidirectional(size, rngs):
    make_rnn = lambda: nnx.RNN(nnx.OptimizedLSTMCell(size, 96, rngs=rngs), rngs=rngs)
    return nnx.Bidirectional(make_rnn(), make_rnn(), rngs=rngs)


def join_steps(xs, lengths):
    xs = jnp.where(jnp.arange(xs.shape[1])[:, None] < lengths[:, None, None], xs, 0)
    return xs.reshape(xs.shape[0], xs.shape[1] // 2, -1), (lengths + 1) // 2


class Recogniser(nnx.Module):
    def __init__(self, rngs):
        self.lower = bidirectional(2 * 39, rngs)
        self.upper = bidirectional(4 * 96, rngs)
        self.dense = nnx.Linear(2 * 96, 11, rngs=rngs)
        self.drop_input = nnx.Dropout(0.2, rngs=rngs)
        self.drop_hidden = nnx.Dropout(0.4, rngs=rngs)

    def __call__(self, batch, noise=0.0):
        xs, lengths = join_steps(self.drop_input(batch["frames"] + noise), batch["lengths"])
        ys = self.drop_hidden(self.lower(xs, seq_lengths=lengths))
        xs, lengths = join_steps(ys, lengths)
        return self.dense(self.upper(xs, seq_lengths=lengths)), lengths


def loss_fn(model, batch, noise=0.0):
    logits, lengths = model(batch, noise)
    paddings = jnp.arange(logits.shape[1]) >= lengths[:, None]
    label_paddings = batch["labels"] == 0
    return optax.ctc_loss(logits, paddings * 1.0, batch["labels"], label_paddings * 1.0).mean()


@nnx.jit
def train_step(model, optimizer, rngs, batch):
    model.train()
    noise = 0.3 * jax.random.normal(rngs.noise(), batch["frames"].shape)
    loss, grads = nnx.value_and_grad(loss_fn)(model, batch, noise)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def eval_step(model, batch):
    model.eval()
    return loss_fn(model, batch), *model(batch)


def main(epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    parts = read_digits()
    longest = max(len(frames) for part in parts.values() for frames, _ in part)
    longest = -(-longest // 4) * 4
    most = max(len(digits) for part in parts.values() for _, digits in part)

    def encode(part):
        lengths = np.array([len(frames) for frames, _ in part])
        frames = np.zeros([len(part), longest, 39], np.float32)
        labels = np.zeros([len(part), most], np.int32)
        for i, (xs, digits) in enumerate(part):
            frames[i, : len(xs)] = xs
            labels[i, : len(digits)] = np.array(digits) + 1
        return {"frames": frames, "labels": labels, "lengths": lengths}

    train, dev, test = map(encode, parts.values())
    steps = len(train["frames"]) // 32
    rngs = nnx.Rngs(seed)
    model = Recogniser(rngs)
    schedule = optax.cosine_decay_schedule(4e-3, epochs * steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    manager, start = ocp.CheckpointManager(run.absolute()) if run else None, 0
    if manager and manager.latest_step() is not None:
        start = manager.latest_step() + 1
        target = nnx.state((model, optimizer, rngs))
        restored = manager.restore(start - 1, args=ocp.args.StandardRestore(target))
        nnx.update((model, optimizer, rngs), restored)
    for epoch in range(start, epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(train["frames"]))
        losses = []
        for rows in order[: steps * 32].reshape(steps, 32):
            batch = {name: values[rows] for name, values in train.items()}
            losses.append(train_step(model, optimizer, rngs, batch))
        dev_loss, *_ = eval_step(model, dev)
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, dev loss {dev_loss:.4f}", flush=True)
        if manager:
            manager.save(epoch, args=ocp.args.StandardSave(nnx.state((model, optimizer, rngs))))
    if manager:
        manager.wait_until_finished()
    _, logits, lengths = eval_step(model, test)
    edits, count = 0, 0
    for path, length, (_, digits) in zip(logits.argmax(-1), lengths, parts["test"], strict=True):
        path = [0, *np.asarray(path[:length]).tolist()]
        found = [b - 1 for a, b in zip(path, path[1:]) if b not in (0, a)]
        edits += count_edits(digits, found)
        count += len(digits)
    print(f"accuracy {1 - edits / count:.4f}")


tyro.cli(main)
