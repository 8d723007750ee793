"""Fast paths of the built-in cells, behind `scan_cell` and `bidirectional`.

A kernel never defines semantics: `birnn_jax._recurrence.reference` does, and the tests
hold every kernel to it. The module to start reading is `xla.cell_rule`.
"""

from .cpu.layer import run_natively as run_natively
from .select import BACKENDS as BACKENDS
from .select import Backend as Backend
from .select import choose_backend as choose_backend
from .select import find_form as find_form
from .xla.cell_rule import Form as Form
from .xla.loop import run_by_xla as run_by_xla
from .xla.order import Outputs as Outputs
from .xla.order import Sequences as Sequences
from .xla.plan import keeps_gates as keeps_gates
