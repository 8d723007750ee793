"""What stands on top of a stack, beside a softmax: CRF, CTC, attention, a decoder."""

from .._core.exporting import make_exportable as _make_exportable
from ._attention import AdditiveAttentionParams as AdditiveAttentionParams
from ._attention import GeneralAttentionParams as GeneralAttentionParams
from ._attention import additive_attention as additive_attention
from ._attention import dot_attention as dot_attention
from ._attention import general_attention as general_attention
from ._attention import init_additive_attention as init_additive_attention
from ._attention import init_general_attention as init_general_attention
from ._beam_search import Hypotheses as Hypotheses
from ._beam_search import beam_search as beam_search
from ._beam_search import greedy_search as greedy_search
from ._bridge import bridge as bridge
from ._bridge import init_bridge as init_bridge
from ._crf import CRFParams as CRFParams
from ._crf import crf_log_likelihood as crf_log_likelihood
from ._crf import crf_loss as crf_loss
from ._crf import crf_marginals as crf_marginals
from ._crf import init_crf as init_crf
from ._crf_decode import crf_decode as crf_decode
from ._crf_decode import crf_decode_n_best as crf_decode_n_best
from ._ctc import ctc_log_likelihood as ctc_log_likelihood
from ._ctc import ctc_loss as ctc_loss
from ._ctc_align import CTCAlignment as CTCAlignment
from ._ctc_align import ctc_align as ctc_align
from ._ctc_decode import ctc_beam_decode as ctc_beam_decode
from ._ctc_decode import ctc_greedy_decode as ctc_greedy_decode
from ._tags import TagConstraints as TagConstraints
from ._tags import constrain_crf as constrain_crf
from ._tags import tag_constraints as tag_constraints

_make_exportable(globals())
