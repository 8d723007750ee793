"""A translator that is ready to use, and the run folder it comes from."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bilingual.beam import beam_search
from experiments.bilingual.config import FILES, TranslationConfig
from experiments.bilingual.model import State, Translator, advance, encode, foretell, log_probs_of
from experiments.bilingual.pairs import Pair
from experiments.bilingual.subwords import BEGIN, END, Subwords
from experiments.bilingual.training import (
    Encoded,
    Lexicon,
    learn_lexicon,
    make_batches,
    params_maker,
)
from experiments.runner.best import best_params
from experiments.runner.folder import RunFolder

_LEXICON = ("source.model", "target.model")
_MORE_STEPS = 8  # a translation has at most twice the padded source's subwords and so many more


class Search(NamedTuple):
    """How a translation is found; width 1 is greedy."""

    width: int
    penalty: float


class TrainedTranslator(NamedTuple):
    """A model with its best parameters, and the subwords it knows."""

    config: TranslationConfig
    params: Any
    lexicon: Lexicon

    @property
    def search(self) -> Search:
        """The search of the settings."""
        return Search(self.config.beam_width, self.config.length_penalty)

    def translate(self, sentences: Sequence[str], search: Search | None = None) -> list[str]:
        """The translation of each sentence."""
        nothing = np.array([END], np.int32)
        pairs = [Encoded(self.lexicon.source.encode(one), nothing) for one in sentences]
        batches = make_batches(self.config, pairs)
        found: dict[int, str] = {}
        for i in range(len(batches)):
            batch = batches[i]
            tokens, lengths = _translate(
                self.config.model,
                search or self.search,
                self.params,
                batch["source"],
                batch["source_lengths"],
            )
            for row, one, length in zip(
                batch["rows"], np.asarray(tokens), np.asarray(lengths), strict=True
            ):
                found[int(row)] = self.lexicon.target.decode(one[:length])
        return [found[row] for row in range(len(sentences))]

    def align(self, source: str, target: str) -> tuple[list[str], list[str], np.ndarray]:
        """Subwords of both sentences, and the weights of attention `[N, T]` between them."""
        pair = Encoded(
            self.lexicon.source.encode(source), np.append(self.lexicon.target.encode(target), END)
        )
        batch = make_batches(dataclasses.replace(self.config, batch_size=1), [pair])[0]
        _, weights = _foretell(self.config.model, self.params, batch)
        count = len(pair.target) - 1
        return (
            self.lexicon.source.pieces(pair.source),
            self.lexicon.target.pieces(pair.target[:count]),
            np.asarray(weights)[0, :count, : len(pair.source)],
        )


@functools.partial(jax.jit, static_argnames="model")
def _foretell(model: Translator, params: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
    return foretell(model, params, batch, None)


@functools.partial(jax.jit, static_argnames=("model", "search"))
def _translate(
    model: Translator, search: Search, params: Any, source: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Subwords `[B, N]` and how many of them there are."""
    memory, state = encode(model, params, source, lengths)
    num_steps = 2 * source.shape[1] + _MORE_STEPS
    if search.width == 1:
        return greedy(model, params, memory, state, num_steps)

    def row(memory: Any, state: State) -> tuple[jax.Array, jax.Array]:
        of_all = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (search.width, *leaf.shape)), memory
        )

        def step(states: State, tokens: jax.Array) -> tuple[State, jax.Array]:
            states, _ = advance(model, params, of_all, states, params.target[tokens])
            return states, log_probs_of(params, states.fed, tokens)

        found = beam_search(
            step,
            state,
            begin=BEGIN,
            end=END,
            width=search.width,
            num_steps=num_steps,
            penalty=search.penalty,
        )
        return found.tokens[0], found.lengths[0]

    return jax.vmap(row)(memory, state)


def greedy(
    model: Translator, params: Any, memory: Any, state: State, num_steps: int
) -> tuple[jax.Array, jax.Array]:
    """At every step the likeliest subword: `[B, N]`, the end behind it, and their number `[B]`."""

    def body(carried: Any, _: Any) -> tuple[Any, jax.Array]:
        state, last, is_over = carried
        state, _ = advance(model, params, memory, state, params.target[last])
        best = jnp.where(is_over, END, log_probs_of(params, state.fed, last).argmax(axis=-1))
        return (state, best, is_over | (best == END)), best

    size = memory.lengths.shape[0]
    first = state, jnp.full([size], BEGIN), jnp.zeros([size], bool)
    _, tokens = jax.lax.scan(body, first, length=num_steps)
    return tokens.T, (tokens != END).sum(axis=0)


def start_run(
    path: pathlib.Path, config: TranslationConfig, train: Sequence[Pair], *, experiment: str
) -> tuple[RunFolder, Lexicon]:
    """Makes or takes up the folder of a run, the subwords beside it."""
    files = {name: getattr(config, name) for name in FILES}
    files = {name: file for name, file in files.items() if file is not None}
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in (*FILES, "data")
    }
    is_new = not all((path / name).exists() for name in _LEXICON)
    lexicon = learn_lexicon(config, train) if is_new else load_lexicon(path)
    folder = RunFolder.start(
        path, experiment=experiment, settings=settings, data=files or {"data": config.data}
    )
    for subwords, name in zip(lexicon, _LEXICON, strict=True):
        if is_new:
            subwords.save(path / name)
    return folder, lexicon


def load_lexicon(path: pathlib.Path) -> Lexicon:
    """The subwords in the folder of a run."""
    return Lexicon(*(Subwords.load(path / name) for name in _LEXICON))


def config_of(folder: RunFolder) -> TranslationConfig:
    """The settings of a run."""
    files = {name: pathlib.Path(file["path"]) for name, file in folder.config["data"].items()}
    return TranslationConfig(**{**folder.settings, **files})


def load_translator(folder: RunFolder) -> TrainedTranslator:
    """The best checkpoint of a run, from its folder alone."""
    config, lexicon = config_of(folder), load_lexicon(folder.path)
    params = best_params(folder, config, params_maker(config, lexicon))
    return TrainedTranslator(config, params, lexicon)
