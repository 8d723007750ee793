"""The Python code of the pages for people who come from another framework runs."""

import pytest

from tests.docs._pages import kind, name, pages, run

# Keras 3.15 on NumPy 2, November 2026.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PAGES = [path for path in pages() if kind(path) == "parity"]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_code_of_the_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(path)
