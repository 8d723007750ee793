"""torch.nn: oneDNN for the LSTM on CPU, cuDNN on a GPU."""

import functools
import os

import torch

from benchmarks import _cells, _measure
from benchmarks._points import Point
from benchmarks.peers import Program, Unsupported, require

NAMES = {"w_x": "weight_ih", "w_h": "weight_hh", "b": "bias_ih", "w_p": "weight_hr"}
MODULES = {
    "elman": torch.nn.RNN,
    "relu_elman": functools.partial(torch.nn.RNN, nonlinearity="relu"),
    "gru": torch.nn.GRU,
    "lstm": torch.nn.LSTM,
    "projected_lstm": torch.nn.LSTM,
}


def make_program(point: Point, inputs: dict, *, int8: bool = False) -> Program:
    """Eager, as it is used; `torch.compile` leaves its RNNs alone.

    `int8` is its dynamic quantisation: weights of 8 bits, inputs and states as they come.
    """
    require(point, "torch.nn", MODULES)
    if int8 and (point.work != "forward" or point.cell not in ("gru", "lstm")):
        raise Unsupported("torch quantises LSTM and GRU, forward.")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = point.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = point.precision == "tf32"
    dtype = torch.bfloat16 if point.precision == "bfloat16" else torch.float32

    def move(array, dtype=dtype):
        return torch.from_numpy(array).to(device=device, dtype=dtype)

    is_training = point.work == "train"
    module: torch.nn.Module = _make_module(point, inputs["weights"], move).train(is_training)
    if int8:
        held = torch.nn.Sequential(module)  # only what another module holds is replaced
        module = torch.ao.quantization.quantize_dynamic(held, {type(module)}, torch.qint8)[0]
    xs = move(inputs["xs"]).requires_grad_(is_training)
    d_ys, lengths = move(inputs["d_ys"]), inputs["lengths"]
    if lengths is not None:
        lengths = torch.from_numpy(lengths).long()
    last: dict = {}

    def call():
        if is_training:
            module.zero_grad()
            xs.grad = None
        with torch.inference_mode(not is_training):
            ys = _run(module, xs, lengths)
        if is_training:
            (ys * d_ys).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        last["ys"] = ys

    def results():
        call()
        if not is_training:
            return {"ys": _to_numpy(last["ys"])}
        assert xs.grad is not None
        return {"d_xs": _to_numpy(xs.grad), "d_weights": _gradients(point, module)}

    first_s, _ = _measure.timed(call)
    facts = {"first_call_s": first_s, "device": _device_name(device)}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        facts["peak_bytes"] = torch.cuda.max_memory_allocated() - before
    return Program(call, results, facts)


def _make_module(point: Point, weights: list, move) -> torch.nn.Module:
    *_, input_size, hidden_size = point.shape
    options = {"num_layers": point.layers, "batch_first": True, "bidirectional": True}
    if point.cell == "projected_lstm":
        options["proj_size"] = _cells.output_size(point.cell, hidden_size)
    module = MODULES[point.cell](input_size, hidden_size, **options)
    module = module.to(move(weights[0][0]["b"]))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        for layer, pair in enumerate(weights):
            for side, direction in zip(("", "_reverse"), pair, strict=True):
                for name, leaf in direction.items():
                    parameter = getattr(module, f"{NAMES[name]}_l{layer}{side}")
                    parameter.copy_(move(leaf.T.copy()))
    return module


def _run(module: torch.nn.Module, xs: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    if lengths is None:
        return module(xs)[0]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, lengths, batch_first=True, enforce_sorted=False
    )
    ys, _ = torch.nn.utils.rnn.pad_packed_sequence(
        module(packed)[0], batch_first=True, total_length=xs.shape[1]
    )
    return ys


def _gradients(point: Point, module: torch.nn.Module) -> list:
    return [
        [
            {
                name: _to_numpy(getattr(module, f"{NAMES[name]}_l{layer}{side}").grad).T
                for name in _cells.weight_shapes(point.cell, *point.shape[2:])
            }
            for side in ("", "_reverse")
        ]
        for layer in range(point.layers)
    ]


def _to_numpy(tensor: torch.Tensor):
    return tensor.detach().float().cpu().numpy()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
