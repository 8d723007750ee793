"""The sLSTM: the published step in PyTorch computes the same, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks.peers import torch_slstm
from birnn_jax import scan_cell
from birnn_jax.cells import SLSTM
from tests.library._cases import random_cell, random_xs

HIDDEN = 6


@pytest.mark.parametrize("backend", ["xla", "reference"])
@pytest.mark.parametrize(("heads", "scale"), [(1, 1.0), (3, 1.0), (2, 60.0)])
def test_it_is_the_published_step_also_where_the_gates_are_large(heads, scale, backend):
    """At scale 60 the gates reach e^100 and more: without the stabiliser, infinity."""
    cell = SLSTM.with_init(heads=heads)
    params, _ = random_cell(cell, 1, hidden_size=HIDDEN)
    params = params._replace(b=scale * params.b)
    xs = random_xs(2, 3, 9, 2)
    weights = np.sin(np.arange(3 * 9 * HIDDEN, dtype=np.float32)).reshape(3, 9, HIDDEN)

    def loss(params, xs):
        carry, ys = scan_cell(cell, params, xs, backend=backend)
        return (ys * weights).sum() + sum(leaf.sum() for leaf in carry), (carry, ys)

    grads, (carry, ys) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, xs)
    theirs = {
        name: torch.from_numpy(np.array(leaf)).requires_grad_()
        for name, leaf in params._asdict().items()
    }
    their_xs = torch.from_numpy(np.array(xs)).requires_grad_()
    their_ys, states = torch_slstm.run(theirs, their_xs)
    ((their_ys * torch.from_numpy(weights)).sum() + states.sum()).backward()

    _assert_close(ys, their_ys)
    for name, state in zip("hcnm", states, strict=True):
        _assert_close(getattr(carry, name), state)
    _assert_close(grads[1], their_xs.grad)
    for name, leaf in theirs.items():
        _assert_close(getattr(grads[0], name), leaf.grad)
    assert jnp.isfinite(ys).all() and jnp.abs(ys).max() > 0.1
    if scale > 1:
        assert jnp.abs(params.b[:HIDDEN]).max() > 89  # of which float32 has no exponential


def _assert_close(ours, theirs):
    want = theirs.detach().numpy()
    np.testing.assert_allclose(ours, want, rtol=2e-5, atol=2e-6 * np.abs(want).max())
