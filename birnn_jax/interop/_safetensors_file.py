"""A .safetensors file as arrays and texts, in every dtype that NumPy or JAX has."""

import json
import os

import jax.numpy as jnp
import numpy as np

from ._errors import framework
from ._files import damage_told

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
           "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
           "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
           "C64": "complex64", "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32",
           "I64": "int64", "U8": "uint8", "U16": "uint16", "U32": "uint32",
           "U64": "uint64"}  # fmt: skip


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays by their names, and the texts that the file has beside them."""
    safetensors = framework("safetensors", "'birnn-jax[interop]'", "A .safetensors file")
    with open(path, "rb") as file:
        data = file.read()
    with damage_told(path, safetensors.SafetensorError):
        entries = safetensors.deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    if unknown := {entry["dtype"] for _, entry in entries} - _DTYPES.keys():
        raise ValueError(
            f"{os.fspath(path)} holds arrays in {', '.join(sorted(unknown))}, which neither NumPy "
            "nor JAX has. Write them in another dtype."
        )
    arrays = {
        name: np.frombuffer(entry["data"], jnp.dtype(_DTYPES[entry["dtype"]])).reshape(
            entry["shape"]
        )
        for name, entry in entries
    }
    return arrays, header.get("__metadata__", {})
