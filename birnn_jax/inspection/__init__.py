"""What happens inside a run, and what a stack is made of: states, gates, gradients, sizes.

Everything here is for looking, and takes the plain scan, step by step: slower than `stack`, with
its results. Nothing is random: dropout and noise are those of evaluation.
"""

from .._core.exporting import make_exportable as _make_exportable
from ._gradients import gradient_norms as gradient_norms
from ._gradients import jacobian_norms as jacobian_norms
from ._newton import NewtonReport as NewtonReport
from ._newton import newton_iterations as newton_iterations
from ._table import count_params as count_params
from ._table import tabulate as tabulate
from ._trace import Trace as Trace
from ._trace import trace as trace

_make_exportable(globals())
