"""Every reader of files on files that are broken: a right answer or one clear error.

`make fuzz` gives each of them a thousand, from a seed that it prints.
"""

import ast
import gzip
import os
import pathlib

import hypothesis
import pytest
from hypothesis import strategies as st

from experiments.runner.data import files
from tests.experiments._readable_files import READERS

ROOT = pathlib.Path(__file__).parents[2]
PIECES = [
    *(b"", b"\0", b"\xff\xfe", b"\t", b"\n\n", b"# split = x\n", b"\xe2\x80\xa8", b'"'),
    b"[" * 9999,
    *(b"{", b"}", b"null", b"1e999", b"-1", b"9" * 5000, b"18446744073709551615", b"\xf0\x9f"),
]
PLACES = st.integers(0, 2**16)
EDITS = st.one_of(
    st.tuples(st.just("flip"), PLACES, st.integers(0, 7)),
    st.tuples(st.just("cut"), PLACES, st.integers(1, 40)),
    st.tuples(st.just("insert"), PLACES, st.sampled_from(PIECES)),
    st.tuples(st.just("write"), PLACES, st.sampled_from(PIECES)),
    st.tuples(st.just("copy"), PLACES, st.integers(1, 200)),
    st.tuples(st.just("end"), PLACES, st.just(0)),
)


def edited(content, edits):
    for kind, place, what in edits:
        place %= len(content) + 1
        before, after = content[:place], content[place:]
        if kind == "flip" and after:
            content = before + bytes([after[0] ^ (1 << what)]) + after[1:]
        elif kind == "cut":
            content = before + after[what:]
        elif kind == "insert":
            content = before + what + after
        elif kind == "write":
            content = before + what + after[len(what) :]
        elif kind == "copy":
            content = before + after[:what] * 2 + after[what:]
        elif kind == "end":
            content = before
    return content


@pytest.fixture(scope="module", params=READERS)
def reader(request, tmp_path_factory):
    """An intact file, a copy of its folder to spoil, and what reads it."""
    write, read = READERS[request.param]
    path = write(tmp_path_factory.mktemp("intact"))
    read(path)
    return path, read


@hypothesis.given(st.lists(EDITS, min_size=1, max_size=4))
@hypothesis.settings(
    max_examples=int(os.environ.get("FUZZ_FILES", 20)),
    derandomize="FUZZ_FILES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_broken_file_gives_an_answer_or_one_clear_error(reader, edits):
    path, read = reader
    content = path.read_bytes()
    path.write_bytes(edited(content, edits))
    try:
        read(path)
    except ValueError as error:
        sentence = str(error)
        names = [path.name, path.parent.name, path.parents[1].name, "The file"]
        assert any(name in sentence for name in names), sentence
    finally:
        path.write_bytes(content)


def test_small_file_does_not_unzip_to_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("birnn_jax.text._reading._LARGEST", 1000)
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a" * 1000))
    assert len(files.read_bytes(path)) == 1000
    path.write_bytes(gzip.compress(b"a" * 10**6))
    with pytest.raises(ValueError, match=r"a.txt.gz unzips to more than 1,000 bytes"):
        files.read_bytes(path)


def calls(tree, name):
    """The calls of `something.name`, and the names of their keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == name:
            yield ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}


def test_nothing_that_is_read_runs_code():
    folders = ("birnn_jax", "experiments", "benchmarks", "tests/library/golden")
    sources = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(sources) > 100
    for path in sources:
        tree = ast.parse(path.read_text())
        for name, keywords in calls(tree, "load"):
            if name in ("np.load", "numpy.load"):
                assert keywords.get("allow_pickle") == "False", path
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", path
            assert name.split(".")[0] not in ("pickle", "marshal", "joblib"), path
        for name in ("loads", "Unpickler", "load_module"):
            assert all(name.startswith("json.") for name, _ in calls(tree, name)), path
        names = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not names & {"eval", "exec", "__import__"}, path
