"""A part of `make fuzz`: random stacks against the loops in float64."""

import pytest

from tests.library import _fuzz


@pytest.mark.parametrize("first", [0, 2, 4])
def test_random_stacks_match_the_loops(first):
    _fuzz.fuzz(20261121, 100, first=first)
