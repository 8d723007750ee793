"""What a layer of a stack is: a recurrence, and what may stand around it."""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax

from .._core.affine import AffineParams
from .._core.checks import check_choice
from .._core.types import Bi, Carry, Cell, Params
from .._recurrence.backends import NAMES, BackendName
from .._recurrence.bidirectional import MERGES, Merge
from .._recurrence.directions import RESIDUALS, ResidualsName
from .subsampling import SUBSAMPLE_MODES, SubsampleMode

EPSILON = 1e-5  # of the layer normalisation


@dataclasses.dataclass(frozen=True)
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
      residuals: what is kept for the gradient, as in `scan_cell`.
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
      initial_carry: "cell" for the carry that the cell starts from, "learned" for one carry a
        direction among the parameters, which starts as the cell's own. A carry given to `stack`
        goes before either.

    Raises:
      ValueError: for an unknown setting, or one that would have no effect.

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
      initial_carry: Gers, Schraudolph and Schmidhuber, Learning Precise Timing with LSTM Recurrent
        Networks, 2002 ("learned").
    """

    cell: Cell | Bi[Cell]
    _: dataclasses.KW_ONLY
    direction: Literal["both", "fwd", "bwd"] = "both"
    merge: Merge = "concat"
    residuals: ResidualsName = "auto"
    backend: BackendName = "auto"
    subsample: int = 1
    subsample_mode: SubsampleMode = "concat"
    norm: Literal["none", "pre", "post"] = "none"
    projection: int | None = None
    connection: Literal["none", "residual", "highway"] = "none"
    initial_carry: Literal["cell", "learned"] = "cell"

    def __post_init__(self) -> None:
        check_choice("direction", self.direction, ("both", "fwd", "bwd"))
        check_choice("merge", self.merge, [merge for merge in MERGES if merge != "none"])
        check_choice("residuals", self.residuals, RESIDUALS)
        check_choice("backend", self.backend, NAMES)
        check_choice("subsample_mode", self.subsample_mode, SUBSAMPLE_MODES)
        check_choice("norm", self.norm, ("none", "pre", "post"))
        check_choice("connection", self.connection, ("none", "residual", "highway"))
        check_choice("initial_carry", self.initial_carry, ("cell", "learned"))
        if self.direction != "both" and (isinstance(self.cell, Bi) or self.merge != "concat"):
            raise ValueError(
                f"A layer with direction={self.direction!r} has one cell and nothing to merge."
            )
        for name, number in (("subsample", self.subsample), ("projection", self.projection)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}.")
        if self.subsample == 1 and self.subsample_mode != "concat":
            raise ValueError(
                f"subsample_mode={self.subsample_mode!r} has no effect with subsample=1: give the "
                "number of steps that become one."
            )


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
    defaults = {field.name: field.default for field in dataclasses.fields(layer)}
    names = ("subsample", "subsample_mode", "norm", "projection", "connection", "initial_carry")
    settings = {name: getattr(layer, name) for name in names}
    return {name: value for name, value in settings.items() if value != defaults[name]}
