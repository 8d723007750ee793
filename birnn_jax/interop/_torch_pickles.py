"""Files of `torch.save`: tensors in containers, and of every other object what it holds.

Nothing that a file names is run or imported: an object of any class becomes a `Stored`, which has
its attributes. So a whole module can be read where the code of its classes is not at hand.
"""

import argparse
import codecs
import pathlib
import pickle
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._errors import framework
from ._files import damage_told

_CODE = (
    "which is no weight: reading it would mean running its code. Save it anew by "
    "torch.save(model.state_dict(), path); or, if you trust the file, give from_torch what "
    "torch.load(path, weights_only=False) returns."
)
_CAUSES = {
    "torch.ScriptObject": (
        "as a quantised module has, which rounds its inputs to 8 bits too. Convert the module from "
        "before it was quantised."
    )
}
_NAMED = re.compile(r"GLOBAL (\S+)|, but got <class '(\S+)'>")


class Stored:
    """An object of a file with its attributes, without the code of its class."""

    attributes: Mapping[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Stored":
        del args, kwargs  # from which its class would have made it
        stored = super().__new__(cls)
        stored.attributes = {}
        return stored

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Of a pickle: takes the attributes, if the object has them in a dict as most have."""
        self.attributes = state if isinstance(state, dict) else {}

    def __getattr__(self, name: str) -> Any:
        """An attribute, or a module inside, as in `torch.nn.Module`."""
        for values in (self.attributes, self.attributes.get("_modules", {})):
            if name in values:
                return values[name]
        raise AttributeError(name)

    def state_dict(self) -> dict[str, Any]:
        """The parameters, buffers and modules of a module by their names; of others none."""
        parts = [self.attributes.get(key, {}) for key in ("_parameters", "_buffers", "_modules")]
        return {name: value for part in parts for name, value in part.items() if value is not None}


def load_pickle(path: str, *, is_archive: bool) -> Any:
    """What `torch.save` wrote; the oldest files, which are no archives, may hold no objects."""
    torch = framework("torch", "torch", "A checkpoint of PyTorch")
    room = torch.serialization
    try:
        with damage_told(path), room.safe_globals(_harmless()):
            names = room.get_unsafe_globals_in_checkpoint(path) if is_archive else []
            kinds = [(_stored(name), name) for name in names if name not in _CAUSES]
            with room.safe_globals(kinds):
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if found := _NAMED.search(str(error)):
            name = found[1] or found[2]
            raise ValueError(f"{path} holds a {name}, {_CAUSES.get(name, _CODE)}") from error
        reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
        raise ValueError(f"{path} is no intact checkpoint of PyTorch: {reason}") from error


def _stored(name: str) -> type[Stored]:
    module, _, own = name.rpartition(".")
    return type(own, (Stored,), {"__module__": module})


def _harmless() -> list[Any]:
    """What training loops store beside weights, and what runs no code when it is read."""
    scalar = np.float64(0).__reduce__()[0]
    array = np.zeros(1).__reduce__()[0]
    kinds = [type(np.dtype(code)) for code in np.typecodes["All"]]
    found: list[Any] = [argparse.Namespace, codecs.encode, np.dtype, np.ndarray, *kinds]
    for room in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found += [(scalar, f"{room}.scalar"), (array, f"{room}._reconstruct")]
    for room in ("pathlib", "pathlib._local"):
        for kind in ("Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"):
            found.append((pathlib.PurePath, f"{room}.{kind}"))
    return found
