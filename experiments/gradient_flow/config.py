"""The networks whose gradients are followed."""

from experiments.synthetic.config import SyntheticConfig

TASK = SyntheticConfig(task="order", length=50, steps_per_evaluation=50)
_RELU = {"cell": "relu", "w_h": "identity", "optimizer": "sgd", "learning_rate": 0.01}
VARIANTS = {
    "elman": {"cell": "elman"},
    "elman-glorot": {"cell": "elman", "w_h": "glorot_uniform"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "lstm-forget-0": {"cell": "lstm", "forget_bias": 0.0},
    "lstm-forget-3": {"cell": "lstm", "forget_bias": 3.0},
    "relu-clipped": {**_RELU, "clip_norm": 1.0},
    "relu-unclipped": {**_RELU, "clip_norm": None},
}
