"""Segments and tags Japanese: the three bidirectional LSTMs of nagisa, which DyNet trained.

    python examples/pretrained/tag_japanese.py Pythonで簡単に使えるツールです

The dictionaries, the vectors and the Viterbi algorithm stay those of nagisa.
"""

import sys

import jax
import nagisa
import numpy as np

from birnn_jax import LSTM, Bi, bidirectional
from birnn_jax.cells import LSTMParams
from birnn_jax.data import pad


def load():
    tagger = nagisa.Tagger()
    model, run = tagger._model, jax.jit(lambda *args: bidirectional(LSTM, *args)[1])

    def lstm(theirs):  # gates i f o g
        arrays = [np.split(array, 4, axis=-1) for array in (theirs.WxT, theirs.WhT, theirs.b)]
        return LSTMParams(*(np.hstack([i, f, g, o]) for i, f, o, g in arrays))

    def replace(birnn):
        params = Bi(*map(lstm, birnn.layers[0]))
        birnn.transduce = lambda xs: np.array(run(params, *batch([xs], 1)))[0, : len(xs)]
        return params

    birnns = [model.ws_model, model.pos_model, model.char_seq_model]
    *_, spelling = map(replace, birnns)

    def spell(characters):  # the outputs at the last character of each word
        rows, lengths = batch(characters, up(len(characters)))
        ys = np.asarray(run(spelling, model.UNI[rows], lengths))
        return ys[np.arange(len(characters)), lengths[: len(characters)] - 1]

    model._char_vecs = spell
    return tagger


def up(size):  # to a multiple of 16, so that few shapes are compiled
    return -(-size // 16) * 16


def batch(rows, size):
    return pad(rows, length=up(max(map(len, rows))), batch_size=size)[:2]


if __name__ == "__main__":
    print(load().tagging(sys.argv[1]))
