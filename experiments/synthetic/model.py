"""The parameters of a network for a made-up task, and its loss."""

from typing import Any

import jax

import birnn_jax
from birnn_jax import Total
from experiments.runner.run import loop
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.data import examples_of
from experiments.synthetic.tasks import Examples


def make_loss(config: SyntheticConfig) -> loop.LossFn:
    """The loss of training, evaluation and tests; beside it the accuracy, where there is one."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        del key
        examples = examples_of(config, batch)
        return totals_of(birnn_jax.tagger(config.stack, params, examples.xs), examples)

    return loss_fn


def totals_of(outputs: jax.Array, examples: Examples) -> dict[str, Total]:
    """Squared error of numbers, cross entropy in nats and accuracy of classes."""
    answers, mask = examples.answers, examples.mask
    if jax.numpy.issubdtype(answers.dtype, jax.numpy.integer):
        return {
            "loss": birnn_jax.cross_entropy(outputs, answers, mask),
            "accuracy": birnn_jax.accuracy(outputs, answers, mask),
        }
    errors = jax.numpy.where(mask, outputs[..., 0] - answers, 0)
    return {"loss": Total((errors**2).sum(), mask.sum(dtype=errors.dtype))}


def init_params(config: SyntheticConfig, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    input_size = jax.eval_shape(lambda: config.what.make(jax.random.key(0), 1, config.length))
    return birnn_jax.init_tagger(
        config.stack,
        key,
        input_size=input_size.xs.shape[-1],
        hidden_size=config.hidden_size,
        num_classes=config.what.num_outputs,
    )
