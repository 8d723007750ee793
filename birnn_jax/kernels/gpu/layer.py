"""A layer by the kernels for Hopper GPUs."""

from ..launches import Launches, Loops


def _find_loops() -> Loops:
    from . import loops  # and with it Pallas, for which others shall not wait

    return Loops(loops.loop, loops.transposed_loop)


LAUNCHES = Launches("birnn_gpu", "cuda", _find_loops)
