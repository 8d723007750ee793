"""ONNX: placeholder."""

from ._onnx_weights import from_onnx as from_onnx
from ._onnx_weights import to_onnx as to_onnx
