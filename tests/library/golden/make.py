"""Makes the golden vectors of this folder by running the frameworks themselves.

    python tests/library golden [NAME ...]

needs the `peers` extra. Values are float64 and come from a fixed seed for each file.
"""

import argparse
import importlib
import pathlib
import zlib

import jax
import numpy as np

from tests.library.golden import peers

MODULES = ["torch_nn", "keras_layers", "flax_linen", "flax_nnx", "haiku_cores", "equinox_cells",
           "onnx_operators"]  # fmt: skip
FOLDER = pathlib.Path(__file__).parent


def all_peers() -> dict[str, peers.Peer]:
    found = {}
    for module in MODULES:
        found |= importlib.import_module(f"tests.library.golden.peers.{module}").PEERS
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of the files to make; all by default")
    names = parser.parse_args().names
    jax.config.update("jax_enable_x64", True)
    found = all_peers()
    for name in names or found:
        arrays = peers.results(found[name], seed=zlib.crc32(name.encode()))
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
        print(f"{name}: {len(arrays)} arrays")


if __name__ == "__main__":
    main()
