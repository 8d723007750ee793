"""The Python code of README and of docs/ runs; pages that need other frameworks run in parity."""

import pytest

from tests.docs._pages import blocks, kind, name, pages, run

SLOW = [pytest.mark.slow]
HERE = [
    pytest.param(path, id=name(path), marks=SLOW if kind(path) == "slow" else [])
    for path in pages()
    if kind(path) != "parity"
]


@pytest.mark.parametrize("path", HERE)
def test_code_of_the_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    run(path)


def test_kinds_of_pages_are_known():
    assert {kind(path) for path in pages()} <= {"quick", "slow", "parity"}


def test_error_on_a_page_has_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '# Title\n\n```python\nn = 1\n```\n\n=== "Tab"\n\n    ```python\n    n / 0\n    ```\n'
    )
    with pytest.raises(ZeroDivisionError) as raised:
        run(page)
    assert raised.traceback[-1].lineno + 1 == 10


def test_block_that_is_not_to_run_is_left_out(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: needs a GPU -->\n```python\n1 / 0\n```\n```python\nn = 1\n```\n")
    assert [code for _, code in blocks(page)] == ["n = 1\n"]
