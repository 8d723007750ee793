"""How far gradients reach in a run: before training and after it, kept in flow.json."""

from typing import Any, NamedTuple

import numpy as np

from birnn_jax.inspection import jacobian_norms
from experiments.runner.data.files import parsed_as, read_json
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder, write_json
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.data import TEST, Numbers, examples_of
from experiments.synthetic.model import make_training

Reach = dict[str, np.ndarray]  # by the field of the state, decades at distances 0 .. T - 1
_SEQUENCES = 8
_SMALLEST = 1e-38  # norms are computed in float32


class Flow(NamedTuple):
    """Base-10 logarithms of the norms of d h[T] / d h[t], and d h[T] / d c[t] in an LSTM."""

    initial: Reach
    trained: Reach


def reach(config: SyntheticConfig, params: Any) -> Reach:
    """The geometric mean of the norms over test sequences, from the last step to the first."""
    xs = examples_of(config, Numbers(config, TEST, 1)[0]).xs[:_SEQUENCES]
    (norms,) = jacobian_norms(config.stack, params.rnn, xs)
    decades = {name: np.log10(np.maximum(by, _SMALLEST)) for name, by in norms._asdict().items()}
    return {name: by.mean(axis=0)[::-1] for name, by in decades.items()}


def write_flow(folder: RunFolder, config: SyntheticConfig, params: Any) -> dict[str, float]:
    """Measures, writes flow.json, and gives the norms of d h[T] / d h[1]."""
    initial = loop.initial_state(make_training(config)).params
    flow = {
        part: {name: np.round(by, 4).tolist() for name, by in reach(config, parameters).items()}
        for part, parameters in zip(Flow._fields, (initial, params), strict=True)
    }
    write_json(folder.path / "flow.json", flow)
    return {f"log10_norm_{part}": flow[part]["h"][-1] for part in flow}


def read_flow(folder: RunFolder) -> Flow:
    """Reads what `write_flow` wrote."""
    path, what = folder.path / "flow.json", "norms of gradients"
    content = read_json(path, what)
    with parsed_as(path, what):
        return Flow(
            *({name: np.array(by) for name, by in content[part].items()} for part in Flow._fields)
        )
