"""Pronounces English words that no dictionary has: the GRU encoder and decoder of g2p-en.

python examples/pretrained/pronounce.py zoneout birnn
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import GRU, stack
from birnn_jax.data import pad
from birnn_jax.heads import greedy_search
from birnn_jax.interop.torch import from_torch

PHONEMES = """<pad> <unk> <s> </s> AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0
AY1 AY2 B CH D DH EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG
OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH""".split()


def load():
    file = dict(np.load(Path(find_spec("g2p_en").origin).with_name("checkpoint20.npz")))
    kinds = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]  # as torch.nn.GRUCell names them
    half = lambda name: from_torch({k: file[f"{name}_{k[0]}{k[-3:]}"] for k in kinds})
    (encoder, encoder_params), (_, (decoder,)) = half("enc"), half("dec")
    letters, phonemes = file["enc_emb"], file["dec_emb"]

    def write(_, carry, token):
        carry, h = GRU.step(decoder.rnn, carry, jnp.asarray(phonemes)[token])
        return carry, jnp.asarray(file["fc_w"]) @ h + file["fc_b"]

    @jax.jit
    def pronounce(words, lengths):  # [B, T] letters, a to z from 3 on, and 2 at the end of a word
        carries, _ = stack(encoder, encoder_params, jnp.asarray(letters)[words], lengths)
        return carries[0].h, greedy_search(write, None, carries[0], begin=2, end=3, max_length=20)

    return pronounce


def spell(words):
    batch = pad([[3 + "abcdefghijklmnopqrstuvwxyz".index(c) for c in word] + [2] for word in words])
    return batch.values, batch.lengths


if __name__ == "__main__":
    for tokens in load()(*spell(sys.argv[1:]))[1].tokens.tolist():
        print(*[PHONEMES[token] for token in tokens if token >= 0])
