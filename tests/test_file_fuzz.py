"""Every reader of files on files that are broken: a right answer or one clear error.

`make fuzz` gives each of them a thousand, from a seed that it prints.
"""

import ast
import gzip
import json
import os
import pathlib
import warnings

import hypothesis
import jax
import pytest
from hypothesis import strategies as st

from birnn_jax import LSTM, Layer, init_stack
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.interop import safetensors
from experiments.language.text import Vocabulary, read_corpus
from experiments.runner import files
from experiments.runner.folder import RunFolder
from experiments.runner.journal import read_journal
from experiments.runner.results import read_result
from experiments.tagging.columns import read_sentences
from experiments.tagging.config import BUNDLED
from experiments.tagging.vocabulary import Vocabulary as TaggingVocabulary
from tests._checkpoint_states import make_state

ROOT = pathlib.Path(__file__).parents[1]
LAYERS = (Layer(LSTM),)
CHARACTERS = Vocabulary("ab\n你")


def read_checkpoint(path):
    """The damaged file stands where that of the only checkpoint stood."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Checkpoints(path.parents[1]).restore_latest(make_state(0))


def write_checkpoint(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(make_state(1), position={"row": 1}, score=0.5)
    return folder / "1" / "record.json"


def write_run(folder):
    data = {"train": BUNDLED}
    RunFolder.start(folder, experiment="a", settings={"seed": 0}, data=data)
    return folder / "config.json"


def write_model(folder):
    params = init_stack(LAYERS, jax.random.key(0), input_size=1, hidden_size=1)
    path = folder / "model.safetensors"
    safetensors.save(path, params, {"layers": LAYERS, "tags": ["A"]})
    return path


def writer(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


CONLLU = b"".join(
    b"\t".join([str(i).encode(), word, b"_", b"X", b"Y", b"_", b"0", b"_", b"_", b"_"]) + b"\n"
    for i, word in enumerate([b"I", "né".encode(), b"#"], start=1)
)
COLUMNS = b"# split = train\nI\tPRON\nknow\tVERB\n\n# split = dev\n# text\nno\tINTJ\n"
LINES = b'{"step": 1, "split": "train", "loss": 0.5}\n{"step": 2, "split": "dev", "loss": 0.25}\n'
WORDS = {"counts": {"a": 1}, "characters": ["a"], "tags": ["X"], "usual_tag": {"a": "X"}}
READERS = {
    "columns": (writer("a.tsv", COLUMNS), lambda p: read_sentences(p, "upos", "train")),
    "CoNLL-U": (writer("a.conllu", CONLLU), lambda p: read_sentences(p, "xpos", "train")),
    "gzip": (
        writer("a.tsv.gz", gzip.compress(COLUMNS)),
        lambda p: read_sentences(p, "upos", "dev"),
    ),
    "text": (
        writer("a.txt", "你好\r\nworld, 你好".encode()),
        lambda p: read_corpus(p, characters=None, held_out=0.2),
    ),
    "vocabulary of characters": (
        writer("v.json", json.dumps(CHARACTERS.characters).encode()),
        lambda p: Vocabulary.load(p, CHARACTERS.digest),
    ),
    "vocabulary of words": (
        writer("v.json", json.dumps(WORDS | {"default_tag": "X"}).encode()),
        TaggingVocabulary.load,
    ),
    "configuration of a run": (write_run, lambda p: RunFolder.open(p.parent).identity),
    "result of a run": (
        writer("result.json", b'{"metrics": {"loss": 0.5}, "seed": 0, "steps": 9, "seconds": 1}'),
        lambda p: read_result(RunFolder(p.parent, {})),
    ),
    "journal": (writer("metrics.jsonl", LINES), read_journal),
    "checkpoint": (write_checkpoint, read_checkpoint),
    "safetensors": (write_model, safetensors.load),
}
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
    monkeypatch.setattr(files, "_LARGEST", 1000)
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
    folders = ("birnn_jax", "experiments", "benchmarks", "tests/golden")
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
