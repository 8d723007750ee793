"""Ragged sequences to batches: padded, packed or in windows, shuffled, resumable, sharded.

    batches = padded_batches(sentences, tokens_per_batch=2000, seed=0)
    for batch in batches.repeat(10):
        state, metrics = train_step(state, batch, key)

Examples are any pytrees of ragged arrays and scalars, from a list, an array, a dataset of Hugging
Face or a source of grain. Every dataset here is a `grain.MapDataset`: batch i is a function of the
seed and i, so that a training goes on at any step, and processes make shares of the same batches.

| function | batches |
| --- | --- |
| `padded_batches` | examples of similar length, padded to few different lengths |
| `packed_batches` | several examples in a row, for `Segments` in place of lengths |
| `windows` | pieces of long sequences, for truncated back-propagation through time |
| `pad`, `pack` | one batch of a list of examples |
"""

import importlib as _importlib

try:
    _importlib.import_module("grain")
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "birnn_jax.data needs grain: pip install 'birnn-jax[data]'.", name=error.name
    ) from error

from .._core.exporting import make_exportable as _make_exportable
from ._batch import Batch as Batch
from ._batch import pad as pad
from ._buckets import choose_buckets as choose_buckets
from ._dataset import prefetch as prefetch
from ._keys import row_keys as row_keys
from ._keys import split_row_keys as split_row_keys
from ._packed import Packed as Packed
from ._packed import PackedBatches as PackedBatches
from ._packed import pack as pack
from ._packed import packed_batches as packed_batches
from ._padded import PaddedBatches as PaddedBatches
from ._padded import padded_batches as padded_batches
from ._source import Source as Source
from ._windows import Window as Window
from ._windows import WindowBatches as WindowBatches
from ._windows import windows as windows

_make_exportable(globals())
