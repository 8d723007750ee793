"""Modules of PyTorch of every kind: normed, pruned, dropped, for one step, traced, quantised."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from birnn_jax.interop._layers import RELU
from birnn_jax.interop.torch import from_torch, states_from_torch, states_to_torch

from ._stacks import EXACT, TOLERANCE_FLOAT32, D, H, assert_close, random_batch, run
from ._torch_warnings import OF_OLDER_PARTS
from .test_torch import as_tensors, in_torch

pytestmark = OF_OLDER_PARTS


def on_all(function, **options):
    def apply(module):
        for name in list(dict(module.named_parameters())):
            if name.startswith("weight"):
                function(module, name, **options)
        return module

    return apply


def pruned_and_normed(module):
    prune.random_unstructured(module, "weight_hh_l0", 0.4)
    prune.random_unstructured(module, "weight_hh_l0", 0.4)  # a second time, one mask
    prune.ln_structured(module, "weight_ih_l1_reverse", 0.4, n=2, dim=1)
    prune.random_unstructured(module, "bias_hh_l0_reverse", 0.4)
    return parametrizations.weight_norm(module, "weight_ih_l0")


class Dropped(nn.Module):
    """The recurrent weights of AWD-LSTM, as Salesforce and both versions of fastai keep them."""

    def __init__(self, module, kind):
        super().__init__()
        self.module, self.kind = module, kind
        self.names = [name for name, _ in module.named_parameters() if "weight_hh" in name]
        for name in self.names:
            raw = nn.Parameter(getattr(module, name).data.clone())
            (module if kind == "salesforce" else self).register_parameter(f"{name}_raw", raw)
            if kind != "fastai 1":  # which keeps what was dropped last as a parameter
                del module._parameters[name]
            else:
                module._parameters[name].data.mul_(3)

    def forward(self, *inputs):
        owner = self.module if self.kind == "salesforce" else self
        for name in self.names:
            raw = getattr(owner, f"{name}_raw")
            if self.kind == "fastai 1":
                self.module._parameters[name].data = raw.data
            else:
                setattr(self.module, name, raw)
        return self.module(*inputs)


REPARAMETRISED = {
    "weight_norm": on_all(weight_norm),
    "weight_norm of columns": on_all(weight_norm, dim=1),
    "weight_norm of all": on_all(weight_norm, dim=None),
    "parametrizations.weight_norm": on_all(parametrizations.weight_norm),
    "parametrizations.weight_norm of columns": on_all(parametrizations.weight_norm, dim=1),
    "parametrizations.weight_norm of all": on_all(parametrizations.weight_norm, dim=None),
    "spectral_norm": on_all(spectral_norm),
    "spectral_norm of columns": on_all(spectral_norm, dim=1),
    "parametrizations.spectral_norm": on_all(parametrizations.spectral_norm),
    "parametrizations.spectral_norm of columns": on_all(parametrizations.spectral_norm, dim=1),
    "pruned and normed": pruned_and_normed,
    "dropped by Salesforce": lambda module: Dropped(module, "salesforce"),
    "dropped by fastai 1": lambda module: Dropped(module, "fastai 1"),
    "dropped by fastai 2": lambda module: Dropped(module, "fastai 2"),
}


@pytest.mark.parametrize("reparametrise", REPARAMETRISED.values(), ids=REPARAMETRISED.keys())
def test_computed_weights_are_those_of_evaluation(reparametrise, rng):
    module = reparametrise(nn.LSTM(D, H, 2, bidirectional=True, batch_first=True).double())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.from_numpy(rng.normal(size=parameter.shape)))
    module.train()
    module(torch.zeros(2, 3, D, dtype=torch.float64))  # a spectral norm moves when it is used
    module.eval()
    if hasattr(module, "parametrizations"):  # with which it would not compute: pytorch#65688
        module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]

    layers, params = from_torch({"state_dict": module.state_dict()})
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)
    xs_torch = torch.from_numpy(np.array(xs))
    ys_torch, final_torch = in_torch(module, xs_torch, as_tensors(states_to_torch(initial)))
    assert_close(ys_torch.detach().numpy(), ys)
    assert_close(states_from_torch(layers, final_torch), final)


def test_module_that_computes_with_other_weights_than_its_own_is_refused():
    module = parametrizations.weight_norm(nn.LSTM(D, H), "weight_hh_l0")
    want = from_torch(module)  # not yet changed
    with torch.no_grad():
        module.parametrizations.weight_hh_l0.original0.mul_(2)
    with pytest.raises(ValueError, match=r"does not compute with .* remove_parametrizations"):
        from_torch(module)
    (doubled,) = from_torch(module.state_dict())[1]
    assert_close(doubled.rnn.w_h, 2 * want[1][0].rnn.w_h, TOLERANCE_FLOAT32)
    parametrize.remove_parametrizations(module, "weight_hh_l0")
    assert_close(from_torch(module)[1], (doubled,), TOLERANCE_FLOAT32)


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


@pytest.mark.parametrize(
    "reparametrise",
    [
        parametrizations.orthogonal,
        lambda module, name: parametrize.register_parametrization(module, name, Doubled()),
    ],
    ids=["orthogonal", "of one's own"],
)
def test_other_parametrizations_are_refused_until_they_are_removed(reparametrise):
    module = nn.GRU(D, H)
    reparametrise(module, "weight_hh_l0")
    with pytest.raises(ValueError, match="remove_parametrizations"):
        from_torch(module)
    parametrize.remove_parametrizations(module, "weight_hh_l0")
    assert_close(from_torch(module)[1][0].rnn.w_h, module.weight_hh_l0.detach().numpy().T, EXACT)


CELLS = {
    "RNNCell": nn.RNNCell,
    "relu": lambda *sizes: nn.RNNCell(*sizes, nonlinearity="relu"),
    "GRUCell": nn.GRUCell,
    "LSTMCell": nn.LSTMCell,
}


@pytest.mark.parametrize("where", ["alone", "in a model", "in a file"])
@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
def test_modules_for_one_step_come_in(make, where, rng, tmp_path):
    module = make(D, H).double()
    model = nn.ModuleDict({"decoder": module, "head": nn.Linear(H, 2)})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    source = {"alone": module, "in a model": model, "in a file": tmp_path / "model.pt"}[where]
    told = {"nonlinearity": "relu"} if getattr(module, "nonlinearity", "") == "relu" else {}
    layers, params = from_torch(source, **told)
    assert layers[0].direction == "fwd"
    xs, initial = random_batch(layers, params, rng)
    _, ys = run(layers, params, xs, initial, lengths=None)
    states = as_tensors(states_to_torch(initial))
    state = tuple(s[0] for s in states) if isinstance(states, tuple) else states[0]
    for step in range(xs.shape[1]):
        state = module(torch.from_numpy(np.array(xs[:, step])), state)
        h = state[0] if isinstance(state, tuple) else state
        assert_close(h.detach().numpy(), ys[:, step])


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, torch.compile, torch.jit.script, nn.Sequential],
    ids=lambda f: f.__name__,
)
def test_nonlinearity_is_that_of_the_module_inside(wrap):
    layers, _ = from_torch(wrap(nn.RNN(D, H, nonlinearity="relu")))
    assert layers[0].cell == RELU


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_modules_that_do_not_say_their_nonlinearity_are_asked_for_it():
    traced = torch.jit.trace(nn.RNN(D, H, nonlinearity="relu"), torch.zeros(2, 3, D))
    with pytest.raises(ValueError, match="A traced module does not say"):
        from_torch(traced)
    assert from_torch(traced, nonlinearity="relu")[0][0].cell == RELU
    with pytest.raises(ValueError, match="has nonlinearity='tanh', got 'relu'"):
        from_torch(nn.RNN(D, H), nonlinearity="relu")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.LSTMCell])
def test_quantised_modules_are_refused(kind, tmp_path):
    module = nn.Sequential(kind(D, H))
    quantised = torch.ao.quantization.quantize_dynamic(module, {kind}, dtype=torch.qint8)
    with pytest.raises(ValueError, match="of a quantised module"):
        from_torch(quantised)
    torch.save(quantised.state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt holds .* a quantised module has"):
        from_torch(tmp_path / "model.pt")


def test_quantisable_modules_are_refused():
    with pytest.raises(ValueError, match="of a quantised module"):
        from_torch(torch.ao.nn.quantizable.LSTM(D, H))


DTYPES = [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_in_which_no_cell_computes_are_refused(dtype, tmp_path):
    weights = {key: tensor.to(dtype) for key, tensor in nn.GRU(D, H).state_dict().items()}
    torch.save(weights, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt: The weights of 'w_x' are {str(dtype)[6:]}"):
        from_torch(tmp_path / "model.pt")


def test_tensors_that_are_not_dense_arrays():
    weights = nn.GRU(D, H).state_dict()
    sparse = weights | {"weight_hh_l0": weights["weight_hh_l0"].to_sparse()}
    assert_close(from_torch(sparse)[1], from_torch(weights)[1], EXACT)
    meta = {key: tensor.to("meta") for key, tensor in weights.items()}
    quantised = {
        key: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8) for key, t in weights.items()
    }
    for refused in [meta, quantised]:
        with pytest.raises(ValueError, match="holds no floating-point numbers"):
            from_torch(refused)


def test_whole_quantised_modules_are_refused(tmp_path):
    module = nn.Sequential(nn.LSTM(D, H))
    quantised = torch.ao.quantization.quantize_dynamic(module, {nn.LSTM}, dtype=torch.qint8)
    torch.save(quantised, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt holds .* a quantised module has"):
        from_torch(tmp_path / "model.pt")
