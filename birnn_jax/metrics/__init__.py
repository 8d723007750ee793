"""How good a model is: accuracy, F1 of entities, error rate of labels, BLEU.

Some take arrays and give a `Total`, so that a jit-compiled evaluation adds up exactly over batches:
`accuracy`, `entity_f1`, `label_errors`. The others take Python sequences.
"""

from .._core.exporting import make_exportable as _make_exportable
from .._losses import Total as Total
from .._losses import accuracy as accuracy
from ._edits import Edits as Edits
from ._edits import count_edits as count_edits
from ._edits import label_error_rate as label_error_rate
from ._entities import EntityScore as EntityScore
from ._entities import score_entities as score_entities
from ._entity_f1 import entity_f1 as entity_f1
from ._label_errors import label_errors as label_errors
from ._translations import TranslationScores as TranslationScores
from ._translations import score_translations as score_translations

_make_exportable(globals())
