"""`torch.nn` on packed sequences."""

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from . import HIDDEN_SIZE, INPUT_SIZE, PROJECTED_SIZE, Peer


def _peer(name, *, num_layers=1, **options):
    module = getattr(torch.nn, name)(
        INPUT_SIZE,
        HIDDEN_SIZE,
        num_layers=num_layers,
        bidirectional=True,
        batch_first=True,
        dtype=torch.float64,
        **options,
    )
    prefixes = [f"{layer}." if layer else "" for layer in range(num_layers)]
    h_size = options.get("proj_size", HIDDEN_SIZE)
    sizes = {"h": h_size, "c": HIDDEN_SIZE} if name == "LSTM" else {"h": h_size}
    states = {
        f"{prefix}{direction}.{state}": size
        for prefix in prefixes
        for direction in ["fwd", "bwd"]
        for state, size in sizes.items()
    }

    def stacked(initial, state):
        return torch.stack([initial[key] for key in states if key.endswith(state)])

    def of_tensors(weights, xs, lengths, initial):
        packed = pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False)
        h = stacked(initial, "h")
        carry = (h, stacked(initial, "c")) if name == "LSTM" else h
        packed, carry = torch.func.functional_call(module, weights, (packed, carry))
        ys, _ = pad_packed_sequence(packed, batch_first=True, total_length=xs.shape[1])
        final = dict(zip("hc", carry if name == "LSTM" else (carry,), strict=False))
        slots = [key[:-2] for key in states if key.endswith("h")]
        return {"ys": ys} | {
            f"final.{slot}.{state}": final[state][index]
            for index, slot in enumerate(slots)
            for state in sizes
        }

    def run(weights, xs, lengths, initial):
        outputs = of_tensors(*_tensors(weights, xs, lengths, initial))
        return {key: one.detach().numpy() for key, one in outputs.items()}

    def differentiate(run, weights, xs, lengths, initial, cotangents):
        weights, xs, lengths, initial = _tensors(weights, xs, lengths, initial)
        leaves = {"xs": xs} | {f"weights.{key}": one for key, one in weights.items()}
        leaves |= {f"initial.{key}": one for key, one in initial.items()}
        for leaf in leaves.values():
            leaf.requires_grad_()
        outputs = of_tensors(weights, xs, lengths, initial)
        total = sum((outputs[key] * torch.from_numpy(one)).sum() for key, one in cotangents.items())
        grads = torch.autograd.grad(total, list(leaves.values()))
        return {key: one.numpy() for key, one in zip(leaves, grads, strict=True)}

    shapes = {key: tuple(one.shape) for key, one in module.state_dict().items()}
    return Peer(shapes, states, run, differentiate)


def _tensors(weights, xs, lengths, initial):
    def tensor(array):
        return torch.from_numpy(np.array(array))

    weights = {key: tensor(one) for key, one in weights.items()}
    return weights, tensor(xs), tensor(lengths), {key: tensor(one) for key, one in initial.items()}


PEERS = {
    "torch_rnn_tanh": _peer("RNN"),
    "torch_rnn_relu": _peer("RNN", nonlinearity="relu"),
    "torch_gru": _peer("GRU"),
    "torch_lstm": _peer("LSTM"),
    "torch_lstm_no_bias": _peer("LSTM", bias=False),
    "torch_lstm_two_layers": _peer("LSTM", num_layers=2),
    "torch_lstm_proj": _peer("LSTM", proj_size=PROJECTED_SIZE),
}
