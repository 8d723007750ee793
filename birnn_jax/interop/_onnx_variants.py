"""Other forms of an ONNX model: of fixed sizes, and with weights of 8 bits."""

import contextlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from ._errors import framework


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of ONNX Runtime about what it leaves as it is."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def with_sizes(model: Any, **sizes: int) -> Any:
    """The model for inputs of certain sizes, for runtimes that need to know them.

    Rows of fewer steps are padded by the caller, as `lengths` says; a batch of fewer rows has rows
    of length 0.

    Args:
      model: an `onnx.ModelProto`; it is not changed.
      **sizes: by the names of sizes in the inputs, such as `batch=1, time=64`.

    Returns:
      An `onnx.ModelProto`.

    Raises:
      ValueError: for a name that no input has, or a size below 1.

    Example:
      model = with_sizes(tagger_to_onnx(layers, params), batch=1, time=64)
    """
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A model of fixed sizes")
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    dims = [dim for value in fixed.graph.input for dim in value.type.tensor_type.shape.dim]
    known = sorted({dim.dim_param for dim in dims if dim.dim_param})
    for name, size in sizes.items():
        if name not in known:
            raise ValueError(
                f"The inputs of the model have no size {name!r}; they have {', '.join(known)}."
            )
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}.")
    dims += [dim for value in fixed.graph.output for dim in value.type.tensor_type.shape.dim]
    for dim in dims:
        if dim.dim_param in sizes:
            dim.dim_value = sizes[dim.dim_param]
    return onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)


def quantized(model: Any) -> Any:
    """The model with weights of 8 bits, by the dynamic quantisation of ONNX Runtime.

    Products with constant matrices, embeddings and LSTMs are stored in 8 bits, a scale for each
    matrix; the GRU and the RNN of ONNX have no such form and stay as they are. It runs in ONNX
    Runtime only. Compare its outputs on data of your own before you serve it.

    Args:
      model: an `onnx.ModelProto`; it is not changed.

    Returns:
      An `onnx.ModelProto`.

    Raises:
      ImportError: without the package onnxruntime.
    """
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A model of 8 bits")
    quantization = framework("onnxruntime.quantization", "onnxruntime", "A model of 8 bits")
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("float.onnx", "int8.onnx")]
        onnx.save(model, os.fspath(paths[0]))
        with _quiet():
            quantization.quantize_dynamic(paths[0], paths[1])
        return onnx.load(os.fspath(paths[1]))
