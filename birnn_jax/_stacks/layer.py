"""What a layer of a stack is: a recurrence, and what may stand around it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
from typing_extensions import TypeAliasType

from .._core.affine import AffineParams
from .._core.checks import as_cells, as_size, check_choice
from .._core.deprecated import renamed_keyword, warn
from .._core.describe import describe
from .._core.types import Bi, Carry, Cell, Params
from .._recurrence.backends import NAMES, BackendName
from .._recurrence.bidirectional import MERGES, MergeToArray
from .._recurrence.directions import RESIDUALS, ResidualsName
from .subsampling import SUBSAMPLE_MODES, SubsampleMode

EPSILON = 1e-5  # of the layer normalisation


@renamed_keyword("initial_carry", "learned_carry", lambda value: _is_learned(value))
@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, repr=False)
class Layer:
    """What one layer of a stack is. Its sizes are in its parameters.

    A layer is a recurrence in one direction or two, with r its outputs. Options add to it, in this
    order, x being what comes from below:

        x[t] = [x[kt], .., x[kt+k-1]]            subsample=k (from 0), zeros after the last step
             = x[kt]                             the same with subsample_mode="first"
        r[t] = recurrence over LN(x[t])          norm="pre"
        r[t] = r[t] w + b                        projection=size
        r[t] = r[t] + x[t]                       connection="residual"
             = g * r[t] + (1 - g) * x[t]         connection="highway", g = sigmoid(x[t] w + b)
        y[t] = LN(r[t])                          norm="post"

    with LN(a) = (a - mean(a)) / sqrt(var(a) + 1e-5) * scale + shift over the features of a step.
    Outputs in padding are zero all the same. Layers with direction="fwd" and "bwd" in turn are a
    stack of alternating directions.

    Args:
      cell: any `Cell`; with two directions also a `Bi` of cells.
      direction: "both", or one direction of time, "fwd" or "bwd".
      merge: how the outputs of both directions become one array, as in `bidirectional`.
      residuals: what the forward pass stores for the backward pass, as in `scan_cell`.
      backend: what computes, as in `scan_cell`.
      subsample: steps k of the input that become one; n valid steps become ceil(n / k), see
        `stack_lengths`.
      subsample_mode: "concat" puts the features of the k steps side by side, "first" keeps those
        of the first.
      norm: "pre" normalises what the recurrence reads, "post" the outputs of the layer.
      projection: features of the outputs after a linear map, None for no map.
      connection: "residual" or "highway" joins inputs and outputs, which must be of one size:
        if they are not, a projection makes them so. The gate of a highway starts with a bias of
        -1, so that the layer begins by handing on most of its input.
      learned_carry: True for an initial carry of each direction among the parameters, which
        starts as the cell's own. A carry given to `stack` goes before it.

    Raises:
      ValueError: for an unknown setting, or one that would have no effect.
      TypeError: if `cell` is no `Cell`, or a size no integer.

    Example:
      >>> layers = (Layer(LSTM),) * 2 + (Layer(GRU, direction="fwd"),)
      >>> alternating = (Layer(LSTM, direction="fwd"), Layer(LSTM, direction="bwd")) * 2
      >>> pyramid = (Layer(LSTM), Layer(LSTM, subsample=2, projection=64, norm="post"))

    References:
      subsample: Chan et al., Listen, Attend and Spell, 2016 ("concat"); Bahdanau et al.,
        End-to-End Attention-based Large Vocabulary Speech Recognition, 2016 ("first").
      norm: Ba, Kiros and Hinton, Layer Normalization, 2016; Xiong et al., On Layer Normalization in
        the Transformer Architecture, 2020 ("pre" and "post").
      projection: Peters et al., Deep Contextualized Word Representations, 2018, and Watanabe et
        al., ESPnet, 2018 (there followed by tanh).
      connection: Wu et al., Google's Neural Machine Translation System, 2016 ("residual");
        Srivastava, Greff and Schmidhuber, Highway Networks, 2015 ("highway").
      direction: Zhou and Xu, End-to-end Learning of Semantic Role Labeling Using Recurrent Neural
        Networks, 2015 (alternating).
      learned_carry: Gers, Schraudolph and Schmidhuber, Learning Precise Timing with LSTM Recurrent
        Networks, 2002.
    """

    cell: Cell | Bi[Cell]
    _: dataclasses.KW_ONLY
    direction: Literal["both", "fwd", "bwd"] = "both"
    merge: MergeToArray = "concat"
    residuals: ResidualsName = "auto"
    backend: BackendName = "auto"
    subsample: int = 1
    subsample_mode: SubsampleMode = "concat"
    norm: Literal["none", "pre", "post"] = "none"
    projection: int | None = None
    connection: Literal["none", "residual", "highway"] = "none"
    learned_carry: bool = False

    def __post_init__(self) -> None:
        as_cells(self.cell)
        check_choice("direction", self.direction, ("both", "fwd", "bwd"))
        check_choice("merge", self.merge, [merge for merge in MERGES if merge != "none"])
        check_choice("residuals", self.residuals, RESIDUALS)
        check_choice("backend", self.backend, NAMES)
        check_choice("subsample_mode", self.subsample_mode, SUBSAMPLE_MODES)
        check_choice("norm", self.norm, ("none", "pre", "post"))
        check_choice("connection", self.connection, ("none", "residual", "highway"))
        if not isinstance(self.learned_carry, bool):
            raise TypeError(f"learned_carry must be a bool, got {describe(self.learned_carry)}.")
        if self.direction != "both" and (isinstance(self.cell, Bi) or self.merge != "concat"):
            raise ValueError(
                f"A layer with direction={self.direction!r} has one cell and nothing to merge."
            )
        for name in ("subsample", "projection"):
            if (size := getattr(self, name)) is not None or name == "subsample":
                object.__setattr__(self, name, as_size(name, size))
        if self.subsample == 1 and self.subsample_mode != "concat":
            raise ValueError(
                f"subsample_mode={self.subsample_mode!r} has no effect with subsample=1: give the "
                "number of steps that become one."
            )

    @property
    def cells(self) -> Bi[Cell]:
        """The cells of both directions; of a layer with one direction, that cell twice."""
        return as_cells(self.cell)

    @property
    def initial_carry(self) -> Literal["cell", "learned"]:
        """Of before `learned_carry`."""
        warn("Layer.initial_carry", "Layer.learned_carry")
        return "learned" if self.learned_carry else "cell"

    def __repr__(self) -> str:
        changed = [f"{name}={value!r}" for name, value in _changed_settings(self).items()]
        return f"Layer({', '.join([repr(self.cell), *changed])})"


Layers = TypeAliasType("Layers", Sequence[Layer | Cell | Bi[Cell]] | Layer | Cell | Bi[Cell])
"""What a stack is made of; a cell stands for a layer of it in both directions."""


def as_layers(layers: Layers) -> tuple[Layer, ...]:
    """The layers of a stack from what a caller gives: cells become layers, and one becomes many."""
    given: Any = (layers,) if isinstance(layers, Layer | Cell | Bi) else layers
    if not isinstance(given, Iterable) or isinstance(given, str | Mapping | jax.Array):
        advice = " The layers come first." if isinstance(layers, jax.Array) else ""
        raise TypeError(
            "layers must be a tuple of birnn_jax.Layer, such as (Layer(LSTM),) * 2, got "
            f"{describe(layers)}.{advice}"
        )
    return tuple(layer if isinstance(layer, Layer) else Layer(layer) for layer in given)


def _is_learned(initial_carry: Any) -> bool:
    check_choice("initial_carry", initial_carry, ("cell", "learned"))
    return initial_carry == "learned"


def _changed_settings(layer: Layer) -> dict[str, Any]:
    """The settings that are not as they are by default."""
    values = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    defaults = {field.name: field.default for field in dataclasses.fields(layer)}
    return {
        name: value for name, value in values.items() if name != "cell" and value != defaults[name]
    }


class NormParams(NamedTuple):
    """Parameters of the layer normalisation of a layer."""

    scale: jax.Array  # [S]
    shift: jax.Array  # [S]


class LayerParams(NamedTuple):
    """Parameters of a layer of `stack`; None for what the layer has not."""

    rnn: Params  # a Bi of cell parameters, or cell parameters if there is one direction
    norm: NormParams | None = None
    projection: AffineParams | None = None
    highway: AffineParams | None = None  # of the gate, from inputs to outputs
    initial: Carry | None = None  # a Bi of carries, or one carry, without a batch axis


def find_extras(layer: Layer) -> dict[str, Any]:
    """What a layer has around its recurrence: the settings that are not as they are by default."""
    names = ("subsample", "subsample_mode", "norm", "projection", "connection", "learned_carry")
    return {name: value for name, value in _changed_settings(layer).items() if name in names}
