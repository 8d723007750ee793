"""PyTorch: what goes out computes the same there, what comes in computes the same here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from birnn_jax import ELMAN, GRU, LSTM, Layer
from birnn_jax.cells import PROJECTED_LSTM, elman
from birnn_jax.interop.torch import (
    from_torch,
    states_from_torch,
    states_to_torch,
    to_torch,
    to_torch_module,
)

from ._stacks import LENGTHS, B, D, H, T, assert_close, random_batch, random_params, run

CELLS = {
    "elman": ELMAN,
    "relu": elman(jax.nn.relu),
    "gru": GRU,
    "lstm": LSTM,
    "projected": PROJECTED_LSTM.with_init(projection_size=4),
}
LAYERS = {
    "one": {"direction": "fwd"},
    "two directions": {"direction": "both"},
}
MODULES = {
    "rnn": lambda **options: torch.nn.RNN(D, H, **options),
    "relu": lambda **options: torch.nn.RNN(D, H, nonlinearity="relu", **options),
    "gru": lambda **options: torch.nn.GRU(D, H, **options),
    "lstm": lambda **options: torch.nn.LSTM(D, H, **options),
    "projected": lambda **options: torch.nn.LSTM(D, H, proj_size=2, **options),
}


def in_torch(module, xs, states):
    packed = pack_padded_sequence(xs, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    packed, final = module(packed, states)
    return pad_packed_sequence(packed, batch_first=True, total_length=T)[0], final


def as_tensors(states):
    return jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), states)


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_exported_module_computes_the_same(cell, num_layers, options, rng):
    layers = (Layer(cell, **options),) * num_layers
    params = random_params(layers, rng)
    xs, initial = random_batch(layers, params, rng)
    (final, ys), pull_back = jax.vjp(lambda xs, i: run(layers, params, xs, i), xs, initial)

    xs_torch = torch.from_numpy(np.array(xs)).requires_grad_()
    module = to_torch_module(layers, params)
    ys_torch, final_torch = in_torch(module, xs_torch, as_tensors(states_to_torch(initial)))
    assert_close(ys_torch.detach().numpy(), ys)
    assert_close(states_from_torch(layers, final_torch), final)

    cotangent = rng.normal(size=ys.shape)
    ys_torch.backward(torch.from_numpy(cotangent))
    grads_xs, _ = pull_back((jax.tree.map(jnp.zeros_like, final), jnp.asarray(cotangent)))
    assert_close(xs_torch.grad.numpy(), grads_xs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_imported_module_computes_the_same(make, bias, rng):
    module = make(num_layers=2, bidirectional=True, bias=bias, batch_first=True).double()
    layers, params = from_torch(module)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)
    ys_torch, final_torch = in_torch(
        module, torch.from_numpy(np.array(xs)), as_tensors(states_to_torch(initial))
    )
    assert_close(ys_torch.detach().numpy(), ys)
    assert_close(states_from_torch(layers, final_torch), final)


def test_weights_come_from_a_part_of_a_model_and_from_files(tmp_path):
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(3, D), "rnn": torch.nn.GRU(D, H)})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    want = from_torch(model["rnn"])
    for source in [
        model,
        model.state_dict(),
        tmp_path / "model.pt",
        str(tmp_path / "model.safetensors"),
    ]:
        layers, params = from_torch(source, prefix="rnn.")
        assert layers == want[0]
        assert_close(params, want[1], {"rtol": 0, "atol": 0})


def test_pickled_modules_are_read_without_running_their_code(tmp_path):
    module = torch.nn.GRU(D, H)
    torch.save(module, tmp_path / "model.pt")
    want, got = from_torch(module), from_torch(tmp_path / "model.pt")
    assert got[0] == want[0]
    assert_close(got[1], want[1], {"rtol": 0, "atol": 0})


def test_state_dict_holds_its_dtype():
    module = torch.nn.LSTM(D, H).bfloat16()
    layers, params = from_torch(module)
    assert params[0].rnn.w_x.dtype == jnp.bfloat16
    again = to_torch_module(layers, params)
    assert again.weight_ih_l0.dtype == torch.bfloat16
    assert torch.equal(again.weight_ih_l0, module.weight_ih_l0)


def test_state_dict_of_arrays_fits_the_module(rng):
    layers = (Layer(LSTM),)
    state_dict = to_torch(layers, random_params(layers, rng))
    module = torch.nn.LSTM(D, H, bidirectional=True, dtype=torch.float64)
    module.load_state_dict({key: torch.from_numpy(array) for key, array in state_dict.items()})


def test_torch_refuses_rows_without_steps():
    lengths = torch.tensor([2, 0])
    with pytest.raises(RuntimeError, match="greater than 0"):
        pack_padded_sequence(torch.zeros(2, 3, D), lengths, batch_first=True, enforce_sorted=False)
    assert B == len(LENGTHS)
