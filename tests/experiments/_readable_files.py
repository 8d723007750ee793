"""Small files of every kind that is read, and what reads each."""

import gzip
import io
import json
import warnings

import jax
import numpy as np
import scipy.io

from birnn_jax import LSTM, Layer, init_stack
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.interop import safetensors
from experiments.characters.data import Vocabulary, read_corpus
from experiments.gradient_flow.model import read_flow
from experiments.music.data import read_rolls
from experiments.music.midi import read_midi, write_midi
from experiments.ner.config import Columns
from experiments.ner.data import read_answers, read_entities
from experiments.pos_tagging.config import BUNDLED
from experiments.pos_tagging.data import read_tagged
from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.runner.run.results import read_result
from experiments.sentiment.data import read_texts
from experiments.speech.data import load_labels, read_recordings
from experiments.speech.folders import read_entries
from experiments.speech.sounds import read_wav
from experiments.time_series.classify.data import Problem, read_series
from experiments.time_series.impute.model import load_features
from experiments.time_series.impute.table import read_table
from experiments.translation.data import read_columns, read_parallel
from experiments.translation.report import read_translations
from experiments.translation.subwords import Subwords
from experiments.words.data import Vocabulary as TaggingVocabulary
from experiments.words.vectors import read_folded
from tests import _checkpoint_states
from tests.experiments import _small_speech

LAYERS = (Layer(LSTM),)
CHARACTERS = Vocabulary("ab\n你")


def read_checkpoint(path):
    """The damaged file stands where that of the only checkpoint stood."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Checkpoints(path.parents[1]).restore_latest(_checkpoint_states.make_state(0))


def write_checkpoint(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(_checkpoint_states.make_state(1), position={"row": 1}, score=0.5)
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


def packed(**arrays):
    """The bytes of an .npz file."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def write_roll(folder):
    roll = np.zeros([4, 88])
    roll[:, 40] = roll[1, 44] = roll[2:, 50] = 1
    write_midi(folder / "a.mid", roll)
    return folder / "a.mid"


def write_subwords(folder):
    Subwords.learn(["a man", "a map", "no man"] * 9, 20).save(folder / "a.model")
    return folder / "a.model"


def write_mat(folder):
    pieces = np.empty([1, 2], object)
    pieces[0] = [np.eye(3, 88, dtype=np.uint8), np.eye(2, 88, dtype=np.uint8)]
    scipy.io.savemat(folder / "a.mat", {"traindata": pieces})
    return folder / "a.mat"


def write_wav(folder):
    return _small_speech.write_wav(folder / "a.wav", _small_speech.sound("one", 0)[:60])


def write_transcripts(folder):
    write_wav(folder).with_name("b.wav").write_bytes((folder / "a.wav").read_bytes())
    (folder / "transcripts.tsv").write_text("file\ttext\tsplit\na\tone\ttrain\nb.wav\ttwo\tdev\n")
    return folder / "transcripts.tsv"


CONLLU = b"".join(
    b"\t".join([str(i).encode(), word, b"_", b"X", b"Y", b"_", b"0", b"_", b"_", b"_"]) + b"\n"
    for i, word in enumerate([b"I", "né".encode(), b"#"], start=1)
)
COLUMNS = b"# split = train\nI\tPRON\nknow\tVERB\n\n# split = dev\n# text\nno\tINTJ\n"
LINES = b'{"step": 1, "split": "train", "loss": 0.5}\n{"step": 2, "split": "dev", "loss": 0.25}\n'
WORDS = {"counts": {"a": 1}, "characters": ["a"], "tags": ["X"], "usual_tag": {"a": "X"}}
READERS = {
    "columns": (writer("a.tsv", COLUMNS), lambda p: read_tagged(p, "upos", Reading())),
    "CoNLL-U": (
        writer("a.conllu", CONLLU),
        lambda p: read_tagged(p, "xpos", Reading()),
    ),
    "gzip": (
        writer("a.tsv.gz", gzip.compress(COLUMNS)),
        lambda p: read_tagged(p, "upos", Reading()),
    ),
    "text": (
        writer("a.txt", "你好\r\nworld, 你好".encode()),
        lambda p: read_corpus(p, Reading(), characters=None, held_out=0.2),
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
    "entities": (
        writer("a.txt", b"EU B-ORG\nsays O\n\nPeter B-PER\nBlack I-PER\n. O\n"),
        lambda p: read_entities(p, Columns(), None, Reading()),
    ),
    "answers": (
        writer("a.txt.gz", gzip.compress(b"I\tx\tO\nam\ty\tB-LOC\n")),
        lambda p: read_answers(p, Columns(), Reading()),
    ),
    "texts": (
        writer("a.tsv", b"1\tGood film.\n0\tDull, dull.\n"),
        lambda p: read_texts(p, "words", Reading()),
    ),
    "vectors": (
        writer("a.vec", "3 2\nthe 0.1 -2\nné 1e-3 4\nof 1 1\n".encode()),
        lambda p: read_folded(p, Reading(), size=2, limit=3),
    ),
    "pairs in columns": (
        writer("a.tsv", "train\tI go.\t我走。\tme\ndev\tHi.\t你好。\tme\n".encode()),
        lambda p: read_columns(p, Reading()),
    ),
    "parallel lines": (
        writer("a.txt", "one two\nthree\n\nné\n".encode()),
        lambda p: read_parallel(p, p, Reading()),
    ),
    "series as text": (
        writer("a.ts", b"@classLabel true a b\n@data\n1,2,?:3,4,5:a\n1.5:-2:b\n"),
        lambda p: read_series(p, "train", Reading()),
    ),
    "series in arrays": (
        writer("a.npz", packed(x_train=np.eye(3), len_train=[1, 2], y_train=[0, 1])),
        lambda p: read_series(p, "train", Reading()),
    ),
    "labels": (writer("labels.json", b'["one", "two"]'), load_labels),
    "features": (
        writer("features.json", b'{"names": ["x"], "mean": [0.5], "deviation": [1.0]}'),
        load_features,
    ),
    "translations": (
        writer("translations.jsonl", b'{"source": "a", "target": "b", "found": "c"}\n'),
        lambda p: read_translations(RunFolder(p.parent, {})),
    ),
    "flow": (
        writer("flow.json", b'{"initial": {"h": [0.5]}, "trained": {"h": [1, 2]}}'),
        lambda p: read_flow(RunFolder(p.parent, {})),
    ),
    "subwords": (write_subwords, Subwords.load),
    "problem": (
        writer("p.json", b'{"labels": ["a"], "mean": [0.5], "deviation": [1.0]}'),
        Problem.load,
    ),
    "table of measurements": (
        writer("a.csv", b"time,x,y\n2016-01,1,\n2016-02,nan,2e3\n"),
        lambda p: read_table(p, Reading()),
    ),
    "MIDI": (write_roll, lambda p: read_midi(p, Reading())),
    "pieces as JSON": (
        writer("a.json", b'{"train": [[[60, 64], [], [55]], [[60], [61]]]}'),
        lambda p: read_rolls(p, "train", Reading()),
    ),
    "pieces of Matlab": (write_mat, lambda p: read_rolls(p, "train", Reading())),
    "sound": (write_wav, lambda p: read_wav(p, 1000)),
    "transcripts": (write_transcripts, lambda p: read_entries(p.parent, Reading())),
    "recordings in arrays": (
        writer(
            "a.npz",
            packed(
                pcm=np.arange(6, dtype=np.int16),
                offset=[0, 2, 6],
                label=[3, 4],
                speaker=[0, 1],
                index=[0, 7],
                speakers=["ann", "bob"],
            ),
        ),
        lambda p: read_recordings(p, 8000, Reading()),
    ),
}
