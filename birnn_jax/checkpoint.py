"""Checkpoints of a training run, through Orbax."""

from ._core.exporting import make_exportable as _make_exportable
from ._training.checkpoints import Checkpoints as Checkpoints
from ._training.checkpoints import Restored as Restored

_make_exportable(globals())
