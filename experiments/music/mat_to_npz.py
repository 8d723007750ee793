"""A script: the cells of one variable of a .mat file, as the arrays of an .npz file.

    python mat_to_npz.py NAME < file.mat > file.npz

It is a process of its own because SciPy's reader crashes the process on some broken files.
"""

import io
import sys

import numpy as np
import scipy.io

if __name__ == "__main__":
    content = scipy.io.loadmat(io.BytesIO(sys.stdin.buffer.read()))
    out = io.BytesIO()
    np.savez(out, *content[sys.argv[1]][0])
    sys.stdout.buffer.write(out.getvalue())
