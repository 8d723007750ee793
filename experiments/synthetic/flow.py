"""The reach of the gradient in a run: before training and after it, kept in flow.json."""

import json
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runner import loop
from experiments.runner.folder import RunFolder, write_json
from experiments.synthetic.config import TEST, Numbers, SyntheticConfig, examples_of, make_training
from experiments.synthetic.jacobians import Reach, reach

_SEQUENCES = 8


class Flow(NamedTuple):
    """Reach before training and after it."""

    initial: Reach
    trained: Reach


def write_flow(folder: RunFolder, config: SyntheticConfig, params: Any) -> dict[str, float]:
    """Measures on test sequences, writes flow.json, and gives the norms over the whole sequence."""
    initial = loop.initial_state(make_training(config)).params
    xs = examples_of(config, Numbers(config.seed, TEST, 1)[0]).xs[:_SEQUENCES]
    measured = Flow(*(reach(config.recurrent_cell, one.rnn[0], xs) for one in (initial, params)))
    values = jax.tree.map(lambda norms: [round(float(norm), 4) for norm in norms], measured)
    write_json(
        folder.path / "flow.json",
        {name: one._asdict() for name, one in values._asdict().items()},
    )
    return {
        f"log10_norm_{name}": one.hidden[-1] for name, one in zip(Flow._fields, values, strict=True)
    }


def read_flow(folder: RunFolder) -> Flow:
    """Reads what `write_flow` wrote."""
    content = json.loads((folder.path / "flow.json").read_text(encoding="utf-8"))
    return Flow(
        *(
            Reach(**{name: np.array(norms) for name, norms in content[part].items()})
            for part in Flow._fields
        )
    )
