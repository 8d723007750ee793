"""The cells that are measured: the shapes of their weights, and the rows of the suite `cells`."""

from typing import NamedTuple

HEADS = 4  # of the cells with heads
GATES = {
    "elman": 1,
    "gru": 3,
    "lstm": 4,
    "slstm": 4,
    "relu_elman": 1,
    "indrnn": 1,
    "gru_reset_before": 3,
    "peephole_lstm": 4,
    "coupled_lstm": 3,
    "projected_lstm": 4,
    "layer_norm_lstm_ba": 4,
    "layer_norm_lstm_tfa": 4,
    "layer_norm_gru_ba": 3,
    "lstm_heads": 4,
    "gru_heads": 3,
    "slstm_heads": 4,
    "mingru": 2,
    "minlstm": 3,
    "para_gru": 3,
    "para_lstm": 3,
}
NOISES = ("recurrent-dropout", "candidate-dropout", "zoneout")
OPTIONS = ("", *NOISES, "segments", "gaps")
RATE = 0.25  # of the noise
SEGMENT = 25  # steps

_DIAGONAL = ("indrnn", "para_gru", "para_lstm")
_LINEAR = ("mingru", "minlstm")
_VECTORS = {  # beside the bias, in multiples of the hidden units
    "peephole_lstm": {"w_c": 3},
    "para_lstm": {"w_c": 2},
    "layer_norm_lstm_ba": {"scale_x": 4, "scale_h": 4, "scale_c": 1, "shift_c": 1},
    "layer_norm_lstm_tfa": {"scale_x": 4, "scale_h": 4, "scale_c": 1, "shift_c": 1},
    "layer_norm_gru_ba": {"b_hn": 1, "scale_x": 3, "scale_h": 3},
}
_LIKE_GRU = ("gru_reset_before", "layer_norm_gru_ba", "gru_heads", "mingru", "para_gru")


def output_size(cell: str, hidden_size: int) -> int:
    """Of one direction: half of the hidden units where the output is projected."""
    return (hidden_size + 1) // 2 if cell == "projected_lstm" else hidden_size


def weight_shapes(cell: str, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """Of one direction, by the names that the parameters of birnn_jax have."""
    columns, seen = GATES[cell] * hidden_size, output_size(cell, hidden_size)
    if cell.endswith("heads"):
        seen //= HEADS
    found: dict[str, tuple[int, ...]] = {"w_x": (input_size, columns)}
    if cell not in _LINEAR:
        found["w_h"] = (columns,) if cell in _DIAGONAL else (seen, columns)
    found["b"] = (columns,)
    if cell == "projected_lstm":
        found["w_p"] = (hidden_size, seen)
    vectors = _VECTORS.get(cell, {})
    return found | {name: (size * hidden_size,) for name, size in vectors.items()}


def products(cell: str, input_size: int, hidden_size: int) -> int:
    """Multiplications of one step and direction in products of matrices."""
    shapes = weight_shapes(cell, input_size, hidden_size).values()
    return sum(shape[0] * shape[1] for shape in shapes if len(shape) == 2)


def base(cell: str) -> str:
    """The plain cell that a cell is compared with."""
    if cell in ("elman", "relu_elman", "indrnn"):
        return "elman"
    return "gru" if cell == "gru" or cell in _LIKE_GRU else "lstm"


class Row(NamedTuple):
    """A line of the suite `cells`."""

    cell: str
    peers: tuple[str, ...]
    option: str = ""
    aim: float | None = None  # at most, of the time of the cell it is compared with

    @property
    def has_lengths(self) -> bool:
        """Segments fill their rows, and the published sLSTM has no lengths."""
        return self.option != "segments" and not self.cell.startswith("slstm")


_WRITTEN = ("flax-written", "torch-loop")
ROWS = (
    Row("lstm", ("birnn-plain", "torch", "flax-linen", "keras", "equinox-written", *_WRITTEN)),
    Row("gru", ("birnn-plain", "torch", "flax-linen", "keras", "equinox-written", *_WRITTEN)),
    Row("lstm", ("keras", *_WRITTEN), "recurrent-dropout", 1.25),
    Row("lstm", _WRITTEN, "candidate-dropout", 1.25),
    Row("lstm", _WRITTEN, "zoneout", 1.25),
    Row("lstm", ("equinox-written",), "segments", 1.25),
    Row("lstm", ("keras", "equinox-written"), "gaps", 1.25),
    Row("gru_reset_before", ("keras", "haiku", *_WRITTEN), aim=1.2),
    Row("peephole_lstm", _WRITTEN, aim=1.2),
    Row("coupled_lstm", _WRITTEN, aim=1.2),
    Row("projected_lstm", ("torch", *_WRITTEN), aim=1.2),
    Row("layer_norm_lstm_ba", _WRITTEN, aim=1.7),
    Row("layer_norm_lstm_tfa", _WRITTEN, aim=1.7),
    Row("layer_norm_gru_ba", _WRITTEN, aim=1.7),
    Row("relu_elman", ("torch", "keras", "haiku", "flax-linen", "torch-loop")),
    Row("indrnn", _WRITTEN),
    Row("mingru", ("birnn-parallel", *_WRITTEN)),
    Row("minlstm", ("birnn-parallel", *_WRITTEN)),
    Row("para_gru", ("birnn-parallel", *_WRITTEN)),
    Row("para_lstm", ("birnn-parallel", *_WRITTEN)),
    Row("lstm_heads", _WRITTEN),
    Row("gru_heads", _WRITTEN),
    Row("slstm", ("torch-slstm", "flax-written")),
    Row("slstm_heads", ("torch-slstm", "flax-written")),
)
