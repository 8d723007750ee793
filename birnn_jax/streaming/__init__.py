"""Sequences that arrive piece by piece, and gradients that stop between the pieces.

A stack of forward layers needs nothing of this to run in pieces of any length: `birnn_jax.stack`
takes the carries that it returned, and `lengths` of each piece.

    carries, ys = stack(layers, params, xs[:, start:stop], lengths - start, initial_carry=carries)

A row that ended before the piece, whose length is then not positive, keeps its carry. What is here
adds one step of time (`step`), a second direction with bounded latency (`latency_controlled`),
and the border between the batches of truncated back-propagation through time (`carry_over`).
No function here draws noise: dropout is for whole sequences.
"""

from ._latency import latency_controlled as latency_controlled
from ._latency import latency_controlled_step as latency_controlled_step
from ._steps import carry_over as carry_over
from ._steps import initial_carry as initial_carry
from ._steps import step as step
