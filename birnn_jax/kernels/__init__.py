"""Fast paths of the built-in cells, behind `scan_cell` and `bidirectional`.

A kernel never defines semantics: `birnn_jax._scan` does, and the tests hold every kernel to it.
The module to start reading is `_form`.
"""

from ._form import Form as Form
from ._layer import run_by_xla as run_by_xla
from ._native import run_natively as run_natively
from ._order import Outputs as Outputs
from ._order import Sequences as Sequences
from ._plan import keeps_gates as keeps_gates
from ._select import BACKENDS as BACKENDS
from ._select import Backend as Backend
from ._select import choose_backend as choose_backend
from ._select import find_form as find_form
