"""Keeps the figures behind the pictures: see `tests._figures`."""

import pytest

from tests import _figures


@pytest.fixture(scope="session", autouse=True)
def _recorded():
    with _figures.recorded():
        yield
