"""Tests. Read `_cases.py` (sizes, cells, tolerances) and `_oracles.py` (the equations) first."""
