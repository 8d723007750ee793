"""Says where speech is in a recording of 16 kHz: the LSTM of Silero VAD, with its state in and out.

python examples/pretrained/detect_speech.py recording.wav
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from scipy.io import wavfile

from birnn_jax import stack
from birnn_jax.interop.onnx import from_onnx_model

convolve = jax.lax.conv_general_dilated


def load():
    path = Path(find_spec("silero_vad").origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    (layers, params), file = from_onnx_model(path), onnx.load(path).graph.initializer
    arrays = {entry.name: onnx.numpy_helper.to_array(entry) for entry in file}

    def conv(name, xs, stride=1, padding=1):
        w, b = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        return convolve(xs, w, [stride], [(padding, padding)]) + b[:, None]

    @jax.jit
    def listen(frames, carries=None):  # [T, 576], 64 samples from before each 512
        frames = jnp.pad(frames, [(0, 0), (0, 64)], mode="reflect")
        waves = convolve(frames[:, None], arrays["stft.forward_basis_buffer"], [128], "VALID")
        xs = jnp.sqrt(sum(part**2 for part in jnp.split(waves, 2, axis=1)))
        for place, stride in enumerate([1, 2, 2, 1]):
            xs = jax.nn.relu(conv(f"encoder.{place}", xs, stride))
        carries, ys = stack(layers, params, xs[None, :, :, 0], initial_carry=carries)
        scores = conv("output", jax.nn.relu(ys).swapaxes(1, 2), padding=0)
        return carries, jax.nn.sigmoid(scores[0, 0])

    return listen


def cut(samples):
    samples = np.pad(samples, (64, -len(samples) % 512))
    return np.lib.stride_tricks.sliding_window_view(samples, 576)[::512]


if __name__ == "__main__":
    samples = wavfile.read(sys.argv[1])[1].astype(np.float32) / 32768
    np.savetxt(sys.stdout, load()(cut(samples))[1], "%.2f")  # a probability every 32 ms
