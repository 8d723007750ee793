"""From a stack to labels: tagger, classifier, readouts of a sequence, losses and metrics."""

from ._core.exporting import make_exportable as _make_exportable
from ._models.classifier import ClassifierParams as ClassifierParams
from ._models.classifier import classifier as classifier
from ._models.classifier import init_classifier as init_classifier
from ._models.losses import Total as Total
from ._models.losses import accuracy as accuracy
from ._models.losses import cross_entropy as cross_entropy
from ._models.readouts import AttentionPoolParams as AttentionPoolParams
from ._models.readouts import attention_pool as attention_pool
from ._models.readouts import final_states as final_states
from ._models.readouts import init_attention_pool as init_attention_pool
from ._models.readouts import max_pool as max_pool
from ._models.readouts import mean_pool as mean_pool
from ._models.tagger import TaggerParams as TaggerParams
from ._models.tagger import init_tagger as init_tagger
from ._models.tagger import tagger as tagger

_make_exportable(globals())
