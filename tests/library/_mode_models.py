"""Models and metrics that the modes of JAX are tried on, those of tokens among them."""

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import GRU, LSTM, Layer, Mask, cells, metrics, models
from tests.library._mode_heads import LABELS
from tests.library._mode_subjects import (
    GAPS,
    LENGTHS,
    SIZES,
    SUBJECTS,
    TWO,
    VALID,
    B,
    D,
    H,
    K,
    Subject,
    T,
    add,
    init,
    keys,
    make_rows,
)

__all__ = ["SUBJECTS", "B", "Subject"]
V, M = 10, 4  # tokens; steps of a target
DRAW = np.random.default_rng(1)
TOKENS = {
    "tokens": jnp.asarray(np.where(VALID, DRAW.integers(0, V, [B, T]), -1)),
    "lengths": jnp.asarray(LENGTHS),
}
TARGETS = {
    "labels": jnp.asarray(DRAW.integers(0, K, [B, M])),
    "label_lengths": jnp.array([2, 1, 0, 1]),
}
SUBSAMPLED = (Layer(LSTM), Layer(GRU, subsample=2))


def add_taggers():
    params = init(models.init_tagger, TWO, **SIZES, num_classes=K, num_tokens=V)
    rates = {"dropout": 0.2, "locked_dropout": 0.2}

    def tag(params, rows):
        tokens, lengths = rows["tokens"], rows["lengths"]
        return models.tagger(TWO, params, tokens, lengths, **rates, key=rows["key"])

    add("tagger_tokens", tag, params, {**TOKENS, "key": keys()}, is_random=True)
    params = init(models.init_crf_tagger, TWO, **SIZES, num_classes=K)

    def measure(params, rows):
        logits = models.crf_tagger(TWO, params, rows["xs"], rows["lengths"])
        return models.crf_tagger_loss(params, logits, rows["labels"], rows["lengths"])

    def decode(params, rows):
        logits = models.crf_tagger(TWO, params, rows["xs"], rows["lengths"])
        return models.crf_tagger_decode(params, logits, rows["lengths"])

    rows = make_rows(**LABELS)
    add("crf_tagger_loss", measure, params, rows)
    add("crf_tagger_decode", decode, params, rows, has_grad=False)


def add_recognisers():
    params = init(models.init_ctc_recogniser, SUBSAMPLED, **SIZES, num_classes=K)

    def measure(params, rows):
        steps = Mask(rows["steps"])
        logits, lengths = models.ctc_recogniser(SUBSAMPLED, params, rows["xs"], steps)
        targets = rows["labels"], rows["label_lengths"]
        return models.ctc_recogniser_loss(logits, lengths, *targets)

    add(
        "ctc_recogniser_loss",
        measure,
        params,
        make_rows(steps=jnp.asarray(GAPS), **TARGETS),
        GAPS,
    )
    for name, width in (("greedy", None), ("beam", 3)):

        def decode(params, rows, width=width):
            logits, lengths = models.ctc_recogniser(SUBSAMPLED, params, rows["xs"], rows["lengths"])
            return models.ctc_recogniser_decode(logits, lengths, beam_width=width)

        add(f"ctc_recogniser_{name}", decode, params, make_rows(), has_grad=False)
    sizes = {"num_characters": V, "character_size": D, "hidden_size": H}
    params = init(models.init_character_encoder, LSTM, **sizes)

    def spell(params, rows):
        return models.character_encoder(LSTM, params, rows["characters"], rows["lengths"])

    lengths = DRAW.integers(0, M + 1, [B, T])
    rows = {"characters": DRAW.integers(0, V, [B, T, M]), "lengths": lengths}
    add("character_encoder", spell, params, jax.tree.map(jnp.asarray, rows))


def add_translators():
    sizes = {**SIZES, "num_classes": V}
    for attention in ("additive", "general", "none"):
        model = models.Seq2Seq(SUBSAMPLED, cells.PEEPHOLE_LSTM, begin=1, end=2, attention=attention)
        params = init(models.init_seq2seq, model, **sizes)
        target = {"target": jnp.asarray(DRAW.integers(0, V, [B, M]))}

        def read(params, rows, model=model):
            rates = {"dropout": 0.2, "teacher_forcing": 0.5, "key": rows["key"]}
            xs, target, lengths = rows["xs"], rows["target"], rows["lengths"]
            return models.seq2seq(model, params, xs, target, lengths=lengths, **rates)

        rows = make_rows(**target, key=keys())
        add(f"seq2seq_{attention}", read, params, rows, is_random=True)

        for name, width in (("greedy", None), ("beam", 3)):

            def write(params, rows, model=model, width=width):
                return models.seq2seq_decode(
                    model,
                    params,
                    rows["xs"],
                    rows["lengths"],
                    max_length=M,
                    beam_width=width,
                )

            add(f"seq2seq_{name}_{attention}", write, params, make_rows(), has_grad=False)
    model = models.Seq2Seq(LSTM, GRU, begin=1, end=2)
    params = init(models.init_seq2seq, model, **sizes, num_tokens=V)

    def read_tokens(params, rows):
        tokens, target, lengths = rows["tokens"], rows["target"], rows["lengths"]
        return models.seq2seq(model, params, tokens, target, lengths=lengths)

    add("seq2seq_tokens", read_tokens, params, {**TOKENS, **target})


def add_metrics():
    labels = {name: jnp.asarray(DRAW.integers(0, K, [B, T])) for name in ("labels", "predicted")}

    def f1(_, rows):
        tags = ("O", "B-x", "I-x")
        return metrics.entity_f1(tags, rows["labels"], rows["predicted"], rows["lengths"])

    def errors(_, rows):
        return metrics.label_errors(rows["labels"], rows["lengths"], rows["predicted"], None)

    rows = {**labels, "lengths": jnp.asarray(LENGTHS)}
    add("entity_f1", f1, (), rows, has_grad=False)
    add("label_errors", errors, (), rows, has_grad=False)


add_taggers()
add_recognisers()
add_translators()
add_metrics()
