"""flax.nnx: `nnx.Bidirectional` over two `nnx.RNN`."""

from flax import nnx

from benchmarks._points import Point
from benchmarks.peers import Layer, require


def make_layer(point: Point) -> Layer:
    """With the faster of its two LSTM cells. Its GRU has no bias beside the reset gate."""
    cell = {"elman": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell}
    require(point, "flax.nnx", cell)
    hidden_size = point.shape[3]
    side = "dense_h" if point.cell == "lstm" else "dense_i"

    def make_module(input_size: int) -> nnx.Module:
        rngs = nnx.Rngs(0)
        fwd, bwd = (cell[point.cell](input_size, hidden_size, rngs=rngs) for _ in range(2))
        return nnx.Bidirectional(nnx.RNN(fwd), nnx.RNN(bwd))

    def to_params(pair):
        def to_cell(direction):
            params = {
                "dense_i": {"kernel": direction["w_x"]},
                "dense_h": {"kernel": direction["w_h"]},
            }
            params[side]["bias"] = direction["b"]
            return {"cell": params}

        return {"forward_rnn": to_cell(pair[0]), "backward_rnn": to_cell(pair[1])}

    def apply(params, xs, lengths):
        graphdef, state, rest = nnx.split(make_module(xs.shape[-1]), nnx.Param, ...)
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graphdef, state, rest)(xs, seq_lengths=lengths)

    return Layer(to_params, apply)
