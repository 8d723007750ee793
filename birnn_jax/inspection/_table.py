"""What a stack is made of, as text."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax

from .._stacks.layer import Layer, LayerParams, Layers, as_layers
from .._stacks.stack import stack
from ._directions import map_directions

_HEADER = ("layer", "cell", "direction", "shapes", "parameters", "output")


def count_params(params: Any) -> int:
    """The numbers in a tree of parameters.

    Args:
      params: any tree of arrays: of a cell, a stack, a tagger, a whole model.

    Example:
      >>> from birnn_jax.inspection import count_params
      >>> count_params(LSTM.init(jax.random.key(0), 3, 4))  # 3 * 16 + 4 * 16 + 16
      128
    """
    return sum(math.prod(jax.numpy.shape(leaf)) for leaf in jax.tree.leaves(params))


def tabulate(layers: Layers, params: Any, xs: Any) -> str:
    """A table of a stack, tagger or classifier: cells, shapes, numbers of parameters, outputs.

    Args:
      layers: of the stack.
      params: from `init_stack`, `init_tagger` or `init_classifier`; or any NamedTuple with the
        parameters of the stack in a field `rnn`, whose other fields get a line each.
      xs: inputs `[B, T, D]`, or their shape as a `jax.ShapeDtypeStruct`.

    Returns:
      Lines of text, one a direction: the output is that of the layer, both directions merged.

    Raises:
      ValueError: as `stack`.

    Example:
      >>> from birnn_jax.inspection import tabulate
      >>> layers = (Layer(LSTM), Layer(GRU, direction="fwd"))
      >>> params = init_tagger(
      ...     layers, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5
      ... )
      >>> print(tabulate(layers, params, jax.ShapeDtypeStruct((2, 6, 3), "float32")))
      layer  cell  direction  shapes                                         parameters  output
      0      LSTM  fwd        w_x [3, 16], w_h [4, 16], b [16]                      128  [2, 6, 8]
      0      LSTM  bwd        w_x [3, 16], w_h [4, 16], b [16]                      128
      1      GRU   fwd        w_x [8, 12], w_h [4, 12], b [12], b_hn [4]            160  [2, 6, 4]
      w                       [4, 5]                                                 20
      b                       [5]                                                     5
      total                                                                         441
    """
    layers = as_layers(layers)
    stacked = getattr(params, "rnn", params)
    jax.eval_shape(lambda xs: stack(layers, stacked, xs), xs)  # refuses what does not fit
    rows: list[tuple[str, ...]] = [_HEADER]
    for index, (layer, layer_params) in enumerate(zip(layers, stacked, strict=True)):
        run = functools.partial(stack, (layer,), (layer_params,))
        _, xs = jax.eval_shape(lambda xs, run=run: run(xs), xs)
        rows += _layer_rows(str(index), layer, layer_params, str(list(xs.shape)))
    if stacked is not params:
        others = {name: value for name, value in params._asdict().items() if name != "rnn"}
        rows += [
            _row(name, "", "", value, "") for name, value in others.items() if count_params(value)
        ]
    rows.append(("total", "", "", "", f"{count_params(params):,}", ""))
    return _align(rows)


def _layer_rows(
    index: str, layer: Layer, params: LayerParams, output: str
) -> list[tuple[str, ...]]:
    def row(cell, params, reverse):
        return _row(index, repr(cell), "bwd" if reverse else "fwd", params, output)

    rows = map_directions(row, layer, params)
    if layer.direction != "both":
        rows = [rows]
    else:
        rows = [rows.fwd, (*rows.bwd[:-1], "")]
    parts = {name: part for name, part in params._asdict().items() if name != "rnn"}
    return rows + [_row(index, name, "", part, "") for name, part in parts.items() if part]


def _row(name: str, cell: str, direction: str, params: Any, output: str) -> tuple[str, ...]:
    shapes = [
        f"{jax.tree_util.keystr(path, simple=True, separator='.')} {list(jax.numpy.shape(leaf))}"
        for path, leaf in jax.tree.leaves_with_path(params)
    ]
    text = ", ".join(shape.strip() for shape in shapes)
    return name, cell, direction, text, f"{count_params(params):,}", output


def _align(rows: Sequence[tuple[str, ...]]) -> str:
    """In columns, the numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    number = _HEADER.index("parameters")
    lines = [
        "  ".join(
            cell.rjust(width) if place == number else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
