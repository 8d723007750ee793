"""A translator for export, in two graphs: the search calls the second one step by step.

`encoder.onnx` reads `source` `[B, T]` and `source_lengths` `[B]`. What it puts out goes into
`decoder.onnx` with `tokens` `[B]`, the token that begins a target at first. That gives `logits`
`[B, K]` of the next token, the `weights` `[B, T]` of attention where there is any, and under names
that begin with `next_` what goes in again with the next token. A beam is a batch of rows.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import add_seq2seq_encoder, add_seq2seq_step
from birnn_jax.interop.stablehlo import Input
from birnn_jax.metrics import score_translations
from birnn_jax.models import DecoderState, Memory, seq2seq_encode, seq2seq_step
from experiments.runner.data.batches import by_rows
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Part,
    Test,
)
from experiments.runner.run.folder import RunFolder
from experiments.translation.data import Pair, read_pairs
from experiments.translation.encoding import LEXICON, encode_pairs, make_batches
from experiments.translation.search import MORE_STEPS
from experiments.translation.subwords import BEGIN, END, PAD, UNKNOWN, Subwords
from experiments.translation.training import TrainedTranslator, load_translator

CARD = Card(
    title="Translator",
    task="translation",
    summary="An encoder that reads subwords in both directions, and a decoder that attends to it, "
    "both recurrent. Sentences are cut into subwords by SentencePiece: `run/source.model` and "
    "`run/target.model`.",
    use="Translating short sentences like those of training. Greedy search takes the best subword "
    "of each step; the commands use beam search.",
    limits="It is poor at long sentences, and at names and words that training has not seen. It is "
    "trained on thousands of pairs, not on millions.",
    metrics=("bleu", "chrf", "greedy_bleu"),
)
load = load_translator


def exported(folder: RunFolder) -> Exported:
    """The translator of a run."""
    translator = load_translator(folder)
    network, params = translator.config.model.network, translator.params
    source = {
        "source": Input("batch, time", jnp.int32),
        "source_lengths": Input("batch", jnp.int32),
    }

    def read_test() -> Test:
        pairs = read_pairs(translator.config, translator.config.reading())["test"]
        return functools.partial(_test, translator, pairs)

    return Exported(
        parts={
            "encoder": Part(
                lambda graph: add_seq2seq_encoder(graph, network, params),
                functools.partial(encode, translator),
                source,
            ),
            "decoder": Part(
                lambda graph: add_seq2seq_step(graph, network, params),
                functools.partial(decode, translator),
                _decoder_inputs(translator),
            ),
        },
        params=params,
        vocabulary={
            "labels": _pieces(translator.lexicon.target),
            "source": _pieces(translator.lexicon.source),
        },
        card=CARD,
        preprocessing={"padding": PAD, "unknown": UNKNOWN, "begin": BEGIN, "end": END},
        files=LEXICON,
        read_test=read_test,
    )


def _test(
    translator: TrainedTranslator, pairs: Sequence[Pair], answers: Answers
) -> dict[str, float]:
    """BLEU and chrF of greedy search."""
    batches = make_batches(translator.config, encode_pairs(translator.lexicon, pairs))
    rows = by_rows(batches, functools.partial(translate, answers))
    found = [translator.lexicon.target.decode(row[row >= 0]) for row in rows]
    tokens = translator.config.bleu_tokens
    scores = score_translations(found, [pair.target for pair in pairs], tokenize=tokens)
    return {"greedy_bleu": scores.bleu, "greedy_chrf": scores.chrf}


def translate(answers: Answers, batch: Arrays) -> np.ndarray:
    """The subwords `[B, N]` that greedy search finds, -1 behind the last of a row."""
    source = {name: np.asarray(batch[name], np.int32) for name in ("source", "source_lengths")}
    state = dict(answers["encoder"](source))
    tokens = np.full(len(source["source"]), BEGIN, np.int32)
    ended, rows = np.zeros(len(tokens), bool), []
    for _ in range(2 * source["source"].shape[1] + MORE_STEPS):
        after = answers["decoder"]({**state, "tokens": tokens})
        state |= {name: after[f"next_{name}"] for name in state if f"next_{name}" in after}
        logits = np.array(after["logits"])
        logits[:, : END + (not rows)] = -np.inf  # no padding, no unknown, no empty sentence
        tokens = logits.argmax(axis=-1).astype(np.int32)
        ended |= tokens == END
        rows.append(np.where(ended, -1, tokens))
        if ended.all():
            break
    return np.stack(rows, axis=1)


def encode(translator: TrainedTranslator, inputs: Arrays) -> Arrays:
    """What the graph of the encoder gives, in JAX."""
    network = translator.config.model.network
    lengths = inputs["source_lengths"]
    memory, state = seq2seq_encode(network, translator.params, inputs["source"], lengths)
    found = {"fed": state.fed, "state_lengths": lengths, **state.carry._asdict()}
    if network.attention == "none":
        return {**found, "summary": memory.summary}
    return {**found, "states": memory.states}


def decode(translator: TrainedTranslator, inputs: Arrays) -> Arrays:
    """What the graph of a step of the decoder gives, in JAX."""
    network, params = translator.config.model.network, translator.params
    tokens = inputs["tokens"]
    carry = _carry(translator)._replace(
        **{name: inputs[name] for name in _carry(translator)._fields}
    )
    if network.attention == "none":
        empty = jnp.zeros([tokens.shape[0], 1])
        memory = Memory(empty[..., None], empty > 0, inputs["summary"])
    else:
        states = inputs["states"]
        valid = jnp.arange(states.shape[1])[None] < inputs["state_lengths"][:, None]
        memory = Memory(states, valid, states[:, 0])
    state = DecoderState(carry, inputs["fed"])
    state, logits, weights = seq2seq_step(network, params, memory, state, tokens=tokens)
    found = {f"next_{name}": value for name, value in state.carry._asdict().items()}
    found |= {"logits": logits, "next_fed": state.fed}
    return found if network.attention == "none" else {**found, "weights": weights}


def _decoder_inputs(translator: TrainedTranslator) -> dict[str, Input]:
    sizes = jax.eval_shape(
        functools.partial(encode, translator),
        {"source": jnp.zeros([1, 1], jnp.int32), "source_lengths": jnp.ones([1], jnp.int32)},
    )
    inputs = {"tokens": Input("batch", jnp.int32)}
    for name, value in sizes.items():
        if name == "states":
            inputs[name] = Input(f"batch, states, {value.shape[-1]}")
        elif name != "state_lengths":
            inputs[name] = Input(f"batch, {value.shape[-1]}")
    if "states" in sizes:
        inputs["state_lengths"] = Input("batch", jnp.int32)
    return inputs


def _carry(translator: TrainedTranslator) -> Any:
    network, params = translator.config.model.network, translator.params
    return jax.eval_shape(network.cell.init_carry, params.decoder)


def _pieces(subwords: Subwords) -> list[str]:
    return subwords.pieces(range(len(subwords)))
