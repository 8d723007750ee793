"""Segments Chinese, and tags words and names: the GRUs and the CRF of LAC, which jieba ships.

    python examples/pretrained/tag_chinese.py 百度是一家高科技公司

PaddlePaddle wrote the weights, a file for each variable.
"""

import math
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Bi, Layer, stack
from birnn_jax.cells import GRU_RESET_BEFORE, GRUResetBeforeParams
from birnn_jax.heads import CRFParams, crf_decode
from birnn_jax.stacks import LayerParams

FOLDER = Path(find_spec("jieba").origin).parent / "lac_small"


def load():
    def read(name, *shape):  # what stands behind a header
        values = np.fromfile(FOLDER / "model_baseline" / name, np.uint8)[-4 * math.prod(shape) :]
        return values.view("f4").reshape(shape)

    def gru(i, size):  # their u is 1 - z, and r comes before the product
        w_h = [w.reshape(128, -1) for w in np.split(read(f"gru_{i}.w_0", 49152), [32768])]
        b = read(f"fc_{i}.b_0", 384) + read(f"gru_{i}.b_0", 384)
        arrays = [np.split(a, 3, -1) for a in (read(f"fc_{i}.w_0", size, 384), np.hstack(w_h), b)]
        return GRUResetBeforeParams(*(np.hstack([r, -u, n]) for u, r, n in arrays))

    layers, sizes = (Layer(GRU_RESET_BEFORE),) * 2, [(0, 128), (2, 256)]
    params = [LayerParams(Bi(gru(i, size), gru(i + 1, size))) for i, size in sizes]
    vectors, w, b = read("word_emb", 20941, 128), read("fc_4.w_0", 256, 57), read("fc_4.b_0", 57)
    start, end, *rows = read("crfw", 59, 57)

    @jax.jit
    def tag(characters, lengths=None):  # [B, T]
        logits = stack(layers, params, jnp.asarray(vectors)[characters], lengths)[1] @ w + b
        return logits, crf_decode(CRFParams(np.stack(rows), start, end), logits, lengths)[0]

    return tag


def read_table(name):
    return dict(row.split("\t")[::-1] for row in (FOLDER / name).read_text("utf8").split("\n")[:-1])


if __name__ == "__main__":
    text, words, names = sys.argv[1], read_table("word.dic"), [*read_table("tag.dic")]
    tokens = np.array([[int(words.get(character, words["OOV"])) for character in text]])
    print(*(f"{character} {names[label]}" for character, label in zip(text, load()(tokens)[1][0])))
