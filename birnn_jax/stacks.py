"""What stands around and between recurrences: layers, stacks, dropout, states of a stack."""

from ._core.affine import AffineParams as AffineParams
from ._core.exporting import make_exportable as _make_exportable
from ._stacks.dropout import drop_connect as drop_connect
from ._stacks.dropout import dropout as dropout
from ._stacks.dropout import locked_dropout as locked_dropout
from ._stacks.dropout import word_dropout as word_dropout
from ._stacks.layer import Layer as Layer
from ._stacks.layer import LayerParams as LayerParams
from ._stacks.layer import NormParams as NormParams
from ._stacks.stack import init_stack as init_stack
from ._stacks.stack import stack as stack
from ._stacks.stack import stack_lengths as stack_lengths
from ._stacks.states import stack_states as stack_states
from ._stacks.states import unstack_states as unstack_states

_make_exportable(globals())
