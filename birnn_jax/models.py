"""From a stack to labels: models, readouts of a sequence, losses and metrics.

Every model is a function of its layers, its parameters and a batch. The four topologies:

    # A label for each sequence (many to one).
    logits = classifier(layers, params, xs, lengths, dropout=0.5, key=key)        # [B, K]
    loss = cross_entropy(logits, labels)                                          # labels [B]

    # A label for each step (many to many, aligned), each by itself or all together.
    logits = tagger(layers, params, xs, lengths, dropout=0.5, key=key)            # [B, T, K]
    loss = cross_entropy(logits, labels, lengths)                                 # labels [B, T]
    logits = crf_tagger(layers, params, xs, lengths, dropout=0.5, key=key)
    loss = crf_tagger_loss(params, logits, labels, lengths)
    labels = crf_tagger_decode(params, logits, lengths)

    # Fewer labels than steps, in their order (many to many, unaligned).
    logits, logit_lengths = ctc_recogniser(layers, params, xs, lengths, dropout=0.5, key=key)
    loss = ctc_recogniser_loss(logits, logit_lengths, labels, label_lengths)      # labels [B, N]
    labels, label_lengths = ctc_recogniser_decode(logits, logit_lengths)

    # A sequence of any length (sequence to sequence).
    logits, weights = seq2seq(model, params, xs, target, lengths=lengths, dropout=0.5, key=key)
    loss = cross_entropy(logits, target, target_lengths)                          # target [B, N]
    found = seq2seq_decode(model, params, xs, lengths, max_length=50, beam_width=5)

`xs` are features `[B, T, D]`. A model made with `num_tokens` has an embedding and reads tokens
`[B, T]`. Without a `key` nothing is dropped, as in evaluation.
"""

from ._core.exporting import make_exportable as _make_exportable
from ._losses import Total as Total
from ._losses import accuracy as accuracy
from ._losses import cross_entropy as cross_entropy
from ._models.character_encoder import CharacterEncoderParams as CharacterEncoderParams
from ._models.character_encoder import character_encoder as character_encoder
from ._models.character_encoder import init_character_encoder as init_character_encoder
from ._models.classifier import ClassifierParams as ClassifierParams
from ._models.classifier import classifier as classifier
from ._models.classifier import init_classifier as init_classifier
from ._models.crf_tagger import CRFTaggerParams as CRFTaggerParams
from ._models.crf_tagger import crf_tagger as crf_tagger
from ._models.crf_tagger import crf_tagger_decode as crf_tagger_decode
from ._models.crf_tagger import crf_tagger_loss as crf_tagger_loss
from ._models.crf_tagger import init_crf_tagger as init_crf_tagger
from ._models.ctc_recogniser import ctc_recogniser as ctc_recogniser
from ._models.ctc_recogniser import ctc_recogniser_decode as ctc_recogniser_decode
from ._models.ctc_recogniser import ctc_recogniser_loss as ctc_recogniser_loss
from ._models.ctc_recogniser import init_ctc_recogniser as init_ctc_recogniser
from ._models.readouts import AttentionPoolParams as AttentionPoolParams
from ._models.readouts import attention_pool as attention_pool
from ._models.readouts import final_states as final_states
from ._models.readouts import init_attention_pool as init_attention_pool
from ._models.readouts import max_pool as max_pool
from ._models.readouts import mean_pool as mean_pool
from ._models.seq2seq.decode import seq2seq_decode as seq2seq_decode
from ._models.seq2seq.model import Seq2Seq as Seq2Seq
from ._models.seq2seq.model import Seq2SeqParams as Seq2SeqParams
from ._models.seq2seq.model import init_seq2seq as init_seq2seq
from ._models.seq2seq.step import DecoderState as DecoderState
from ._models.seq2seq.step import Memory as Memory
from ._models.seq2seq.step import seq2seq_encode as seq2seq_encode
from ._models.seq2seq.step import seq2seq_step as seq2seq_step
from ._models.seq2seq.train import seq2seq as seq2seq
from ._models.tagger import TaggerParams as TaggerParams
from ._models.tagger import init_tagger as init_tagger
from ._models.tagger import tagger as tagger

_make_exportable(globals())
