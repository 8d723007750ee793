"""Compares every backend that is active here with the equations in float64.

python -m birnn_jax.selfcheck
"""

from .compare import main as main
