"""The sLSTM as its authors publish it for CPUs: a Python loop over steps of PyTorch operations.

The step of github.com/NX-AI/xlstm with backend="vanilla", written anew from what it computes: the
same operations, as many of them, and its arrays of all states and gates. Its package is no library
that another program can call without a GPU's compiler at hand.
"""

import torch
from torch.nn.functional import logsigmoid

from benchmarks._points import Point
from benchmarks.peers import Program, Unsupported, require, torch_loop


def make_program(point: Point, inputs: dict) -> Program:
    """Of full rows."""
    require(point, "the published sLSTM", ("slstm", "slstm_heads"))
    if point.lengths:
        raise Unsupported("The published sLSTM has no lengths.")
    return torch_loop.run_both_directions(point, inputs, lambda w, xs: run(w, xs)[0])


def run(weights: dict, xs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`[B, T, D]` to `[B, T, H]` and the last states `[4, B, H]`: h, c, n, m; weights as here.

    `w_h` is `[H/K, 4H]` for K heads.
    """
    batch_size, num_steps, _ = xs.shape
    size, hidden = weights["w_h"].shape[0], weights["w_h"].shape[1] // 4
    heads = hidden // size
    # [K, H/K, 4 H/K], the gates of a head beside one another
    matrix = weights["w_h"].reshape(size, 4, heads, size).permute(2, 0, 1, 3)
    matrix = matrix.reshape(1, heads, size, 4 * size)
    of_x = (xs @ weights["w_x"]).transpose(0, 1)
    states = torch.zeros(4, batch_size, hidden, dtype=xs.dtype)
    every_state = torch.zeros(4, num_steps + 1, batch_size, hidden, dtype=xs.dtype)
    every_gate = torch.zeros(num_steps + 1, 4, batch_size, hidden, dtype=xs.dtype)
    for t in range(num_steps):
        of_h = states[0].reshape(batch_size, heads, 1, size).matmul(matrix)
        of_h = of_h.reshape(batch_size, heads, 4, size).transpose(1, 2).reshape(batch_size, -1)
        states, gates = step(of_x[t] + of_h + weights["b"], states)
        every_gate[t] = gates
        every_state[:, t + 1] = states
    return every_state[0, 1:].transpose(0, 1), states


def step(sums: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of sums `[B, 4H]` in the order i, f, z, o: the new states and the gates."""
    _, c, n, m = states.unbind(0)
    log_i, f, z, o = sums.view(len(sums), 4, -1).unbind(1)
    log_kept = m + logsigmoid(f)
    new_m = log_i if torch.all(n == 0) else torch.max(log_i, log_kept)
    input_gate, forget_gate = torch.exp(log_i - new_m), torch.exp(log_kept - new_m)
    output_gate = torch.sigmoid(o)
    new_c = forget_gate * c + input_gate * torch.tanh(z)
    new_n = forget_gate * n + input_gate
    h = output_gate * new_c / new_n
    states = torch.stack((h, new_c, new_n, new_m))
    return states, torch.stack((input_gate, forget_gate, z, output_gate))
