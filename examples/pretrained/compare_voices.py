"""Says how alike the voices of two recordings are: the LSTM of Resemblyzer.

python examples/pretrained/compare_voices.py one.wav another.wav
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

from birnn_jax import stack
from birnn_jax.interop.torch import from_torch


def load():
    path = Path(find_spec("resemblyzer").origin).with_name("pretrained.pt")
    layers, params = from_torch(path)  # finds the weights under "model_state"
    state = torch.load(path, map_location="cpu")["model_state"]
    w, b = state["linear.weight"].numpy().T, state["linear.bias"].numpy()

    @jax.jit
    def embed(mels):  # [B, 160, 40], frames of 10 ms
        carries, _ = stack(layers, params, mels)
        voices = jax.nn.relu(carries[-1].h @ w + b)
        return voices / jnp.linalg.norm(voices, axis=1, keepdims=True)

    return embed


def pieces(path):
    from resemblyzer.audio import preprocess_wav, wav_to_mel_spectrogram

    mel = wav_to_mel_spectrogram(preprocess_wav(path))
    mel = np.pad(mel, [(0, max(0, 160 - len(mel))), (0, 0)])
    return np.stack([mel[start : start + 160] for start in range(0, len(mel) - 159, 77)])


if __name__ == "__main__":
    embed = load()
    one, another = (embed(pieces(path)).mean(axis=0) for path in sys.argv[1:])
    print(f"{one @ another / jnp.linalg.norm(one) / jnp.linalg.norm(another):.2f}")
