"""What stands below a stack in an ONNX graph: embeddings of tokens, and readers of characters."""

from typing import Any

import numpy as np

from .._core.checks import check_made_by
from .._core.types import Cell
from .._models.character_encoder import CharacterEncoderParams
from .._stacks.layer import Layer, LayerParams
from ._onnx_graph import Graph
from ._onnx_readouts import add_final_states
from ._onnx_stack import add_stack


def add_embedding(graph: Graph, embedding: Any, tokens: str) -> str:
    """Adds the vectors of tokens, `[..., D]`.

    Args:
      graph: to add to.
      embedding: `[V, D]`.
      tokens: the name of int32 or int64 values of any shape; those outside 0 to V - 1, as padding
        may hold them, get the first or the last vector.
    """
    shape = np.shape(embedding)
    tokens = graph.cast(tokens, np.int64)
    low, high = (graph.constant(np.int64(limit)) for limit in (0, shape[0] - 1))
    return graph.op("Gather", graph.constant(embedding), graph.op("Clip", tokens, low, high))


def add_character_encoder(
    graph: Graph, cell: Cell, params: CharacterEncoderParams, characters: str, lengths: str
) -> str:
    """Adds `character_encoder`: words as their characters spell them, `[B, T, 2H]`.

    Args:
      graph: to add to.
      cell: as given to `init_character_encoder`.
      params: from `init_character_encoder`.
      characters: the name of a value `[B, T, W]`, int32 or int64.
      lengths: the name of a value `[B, T]`, int32: the characters of each word.
    """
    check_made_by("init_character_encoder", CharacterEncoderParams, params)
    rest = graph.op("Shape", characters, start=2)
    words = graph.op("Shape", characters, start=0, end=2)
    number = graph.op("ReduceProd", words, keepdims=1)
    flat = graph.op("Reshape", characters, graph.op("Concat", number, rest, axis=0), allowzero=1)
    counts = graph.op("Reshape", lengths, number, allowzero=1)
    xs = add_embedding(graph, params.embedding, flat)
    carries, _ = add_stack(graph, (Layer(cell),), (LayerParams(params.rnn),), xs, counts)
    spelled = add_final_states(graph, carries[0])
    size = graph.op("Shape", spelled, start=1, end=2)
    return graph.op("Reshape", spelled, graph.op("Concat", words, size, axis=0), allowzero=1)
