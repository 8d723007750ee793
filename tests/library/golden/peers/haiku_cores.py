"""Haiku, row by row: it knows no lengths."""

import haiku as hk

from . import HIDDEN_SIZE, INPUT_SIZE, Peer
from .flax_linen import states_of
from .jax_based import compiled, differentiate, nest, run_rows

_D, _H = INPUT_SIZE, HIDDEN_SIZE


def _peer(core, shapes, *names):
    def run(weights, xs, lengths, initial):
        def scan(direction, xs, states):
            def unroll(xs, states):
                state = hk.LSTMState(states["h"], states["c"]) if "c" in states else states["h"]
                return hk.dynamic_unroll(
                    core(_H, name=direction),
                    xs,
                    state,
                    time_major=False,
                    reverse=direction == "bwd",
                )

            params = nest(weights)
            params = {key: one for key, one in params.items() if key.startswith(direction)}
            ys, state = hk.without_apply_rng(hk.transform(unroll)).apply(params, xs, states)
            return ys, {"h": state.hidden, "c": state.cell} if "c" in states else {"h": state}

        return run_rows(scan, xs, lengths, initial)

    weights = {f"{d}{key}": one for d in ["fwd", "bwd"] for key, one in shapes.items()}
    return Peer(weights, states_of(*names), compiled(run), differentiate)


_LSTM = {"/linear.w": (_D + _H, 4 * _H), "/linear.b": (4 * _H,)}
_GRU = {".w_i": (_D, 3 * _H), ".w_h": (_H, 3 * _H), ".b": (3 * _H,)}
_VANILLA = {"/linear.w": (_D, _H), "/linear.b": (_H,)}
_VANILLA |= {"/linear_1.w": (_H, _H), "/linear_1.b": (_H,)}

PEERS = {
    "haiku_vanilla_rnn": _peer(hk.VanillaRNN, _VANILLA, "h"),
    "haiku_gru": _peer(hk.GRU, _GRU, "h"),
    "haiku_lstm": _peer(hk.LSTM, _LSTM, "h", "c"),
}
