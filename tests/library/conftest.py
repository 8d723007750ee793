"""Fixtures of the tests of the library alone."""

import pytest

from ._cases import CASES


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    """Every row of the table of cells in turn."""
    return request.param
