"""More that the modes of JAX are tried on: dropout, readouts, losses, heads, training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import birnn_jax
from birnn_jax import GRU, LSTM, Mask, Segments, heads
from tests.library._cases import random_like, random_xs
from tests.library._mode_subjects import (
    GAPS,
    IDS,
    SIZES,
    SUBJECTS,
    TWO,
    VALID,
    B,
    D,
    H,
    K,
    N,
    Subject,
    T,
    add,
    init,
    keys,
    make_carries,
    make_pair,
    make_rows,
)

__all__ = ["SUBJECTS", "B", "Subject"]
LABELS = {"labels": jnp.asarray(np.random.default_rng(0).integers(0, K, [B, T]))}
GIVEN = {"steps": jnp.asarray(GAPS), "ids": jnp.asarray(IDS)}


def add_dropout():
    for name in ("dropout", "locked_dropout"):

        def run(_, rows, drop=name):
            return getattr(birnn_jax, drop)(rows["xs"], 0.4, rows["key"])

        rows = {"xs": random_xs(0, B, T, D), "key": keys()}
        add(name, run, (), rows, np.ones_like(VALID), is_random=True)
    one_key = lambda key, rows: birnn_jax.dropout(rows["xs"], 0.4, key)  # noqa: E731
    whole = {"xs": random_xs(0, B, T, D)}
    add("dropout_one_key", one_key, jax.random.key(2), whole, np.ones_like(VALID))
    words = lambda _, rows: birnn_jax.word_dropout(  # noqa: E731
        rows["tokens"], 0.4, rows["key"], unknown_id=1
    )
    rows = {"tokens": jnp.arange(B * T).reshape(B, T) + 2, "key": keys()}
    add("word_dropout", words, (), rows, is_random=True, has_grad=False)

    def run_dropped(params, rows):
        dropped = birnn_jax.drop_connect(params["rnn"], 0.4, params["key"])
        return birnn_jax.bidirectional(LSTM, dropped, rows["xs"], rows["lengths"])

    params = {"rnn": make_pair(LSTM), "key": jax.random.key(5)}
    add("drop_connect", run_dropped, params, make_rows())


def add_readouts():
    for name in ("mean_pool", "max_pool"):

        def run(_, rows, pool=name):
            return getattr(birnn_jax, pool)(rows["xs"], rows["lengths"])

        add(name, run, (), make_rows())
    pool = lambda params, rows: birnn_jax.models.attention_pool(  # noqa: E731
        params, rows["xs"], rows["lengths"]
    )
    params = init(birnn_jax.models.init_attention_pool, input_size=D, attention_size=H)
    add("attention_pool", pool, params, make_rows())
    final = lambda _, rows: birnn_jax.final_states(rows["carry"])  # noqa: E731
    add("final_states", final, (), {"carry": make_carries(LSTM)})
    for name in ("cross_entropy", "accuracy"):

        def measure(_, rows, loss=name):
            mask = jnp.arange(rows["xs"].shape[1])[None] < rows["lengths"][:, None]
            return getattr(birnn_jax, loss)(rows["xs"], rows["labels"], mask)

        add(name, measure, (), make_rows(size=K, **LABELS), has_grad=name == "cross_entropy")


def add_chains():
    params = random_like(jax.eval_shape(lambda: heads.init_crf(num_classes=K)), 3)
    for name, run in {
        "crf_loss": lambda p, r: heads.crf_loss(p, r["xs"], r["labels"], r["lengths"]),
        "crf_loss_mask": lambda p, r: heads.crf_loss(p, r["xs"], r["labels"], Mask(r["steps"])),
        "crf_segments": lambda p, r: heads.crf_loss(p, r["xs"], r["labels"], Segments(r["ids"])),
        "crf_n_best_segments": lambda p, r: heads.crf_decode_n_best(
            p, r["xs"], Segments(r["ids"]), n=3
        ),
        "crf_marginals": lambda p, r: heads.crf_marginals(p, r["xs"], r["lengths"]),
        "crf_decode": lambda p, r: heads.crf_decode(p, r["xs"], r["lengths"]),
        "crf_n_best": lambda p, r: heads.crf_decode_n_best(p, r["xs"], r["lengths"], n=3),
    }.items():
        valid = GAPS if "mask" in name else IDS > 0 if "segments" in name else VALID
        add(name, run, params, make_rows(size=K, **GIVEN, **LABELS), valid)
    targets = {
        "labels": jnp.array([[1, 2], [1, 0], [2, 2], [2, 1]]),
        "label_lengths": jnp.array([2, 1, 0, 1]),
    }
    for name, run in {
        "ctc_loss": lambda _, r: heads.ctc_loss(
            r["xs"], r["lengths"], r["labels"], r["label_lengths"]
        ),
        "ctc_greedy": lambda _, r: heads.ctc_greedy_decode(r["xs"], r["lengths"]),
        "ctc_beam": lambda _, r: heads.ctc_beam_decode(r["xs"], r["lengths"], width=2),
        "ctc_beam_mask": lambda _, r: heads.ctc_beam_decode(r["xs"], Mask(r["steps"]), width=2),
    }.items():
        valid = GAPS if "mask" in name else VALID
        rows = make_rows(size=K, **GIVEN, **targets)
        add(name, run, (), rows, valid, has_grad=name == "ctc_loss")


def add_attention():
    queries = {"queries": random_xs(3, B, N, H)}
    sizes = {"query_size": H, "state_size": D}
    for name, params in {
        "additive_attention": init(heads.init_additive_attention, **sizes, attention_size=4),
        "general_attention": init(heads.init_general_attention, **sizes),
    }.items():

        def run(params, rows, attend=name):
            return getattr(heads, attend)(params, rows["queries"], rows["xs"], rows["lengths"])

        add(name, run, params, make_rows(**queries))
    dot = lambda _, r: heads.dot_attention(r["queries"], r["xs"], r["lengths"])  # noqa: E731
    add("dot_attention", dot, (), make_rows(queries=random_xs(3, B, N, D)))
    bridge = lambda params, rows: heads.bridge(params, rows["carry"])  # noqa: E731
    params = init(heads.init_bridge, GRU, input_size=4 * H, hidden_size=H)
    add("bridge", bridge, params, {"carry": make_carries(LSTM)})


def train(params, rows, **options):
    def loss_fn(params, batch, key):
        logits = birnn_jax.tagger(TWO, params, batch["xs"], batch["lengths"])
        mask = jnp.arange(T)[None] < batch["lengths"][:, None]
        return {"loss": birnn_jax.cross_entropy(logits, batch["labels"], mask)}

    optimizer = birnn_jax.make_optimizer(0.5, clip_norm=1.0, method=optax.adam)
    step = birnn_jax.make_train_step(loss_fn, optimizer, **options)
    state = birnn_jax.init_train_state(jax.tree.map(jnp.copy, params), optimizer)
    state, metrics = step(state, rows, jax.random.key(0))
    return state.params, metrics["loss"], metrics["grad_norm"]


def add_training():
    params = init(birnn_jax.init_tagger, TWO, **SIZES, num_classes=K)
    for name, options in {
        "train_step": {},
        "train_accumulated": {"accumulation_steps": 2},
    }.items():
        run = functools.partial(train, **options)
        add(name, run, params, make_rows(**LABELS), has_grad=False)


add_dropout()
add_readouts()
add_chains()
add_attention()
add_training()
