"""A script: the pieces of each part in a .mat file, as the arrays "PART NUMBER" of an .npz file.

    python mat_to_npz.py < file.mat > file.npz

It is a process of its own because SciPy's reader crashes the process on some broken files.
"""

import io
import sys

import numpy as np
import scipy.io

_PARTS = ("train", "valid", "test")

if __name__ == "__main__":
    content = scipy.io.loadmat(io.BytesIO(sys.stdin.buffer.read()))
    pieces = {
        f"{part} {number}": piece
        for part in _PARTS
        if f"{part}data" in content
        for number, piece in enumerate(content[f"{part}data"][0], start=1)
    }
    if not pieces:
        sys.exit(1)
    out = io.BytesIO()
    np.savez(out, **pieces)
    sys.stdout.buffer.write(out.getvalue())
