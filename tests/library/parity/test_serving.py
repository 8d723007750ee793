"""The exported tagger of words gives the tags of the trained one, without JAX."""

import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from birnn_jax import GRU, LSTM, Layer
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.pos_tagging.export import to_onnx
from experiments.words.config import WordTagger
from experiments.words.model import init_word_tagger, score
from tests.experiments import _small_tagging
from tests.experiments._commands import command

from ._stacks import TOLERANCE_FLOAT32, assert_close, randomised

README = pathlib.Path(__file__).parents[3] / "experiments" / "pos_tagging" / "README.md"
BLOCKED = ("jax", "jaxlib", "flax", "birnn_jax", "experiments", "onnx")
SENTENCES = ["I know that man .", "Uncharacteristically , Ünal", "the THE The unheard-of-word"]
SENTENCES += [
    f"{start}{end} . {start} the {end}ly"
    for start in ("Bagh", "go", "12", "Un")
    for end in ("ing", "?!", "dad", "ed", "34")
]


@pytest.mark.parametrize("direction", ["both", "fwd", "bwd"])
@pytest.mark.parametrize("cell", [GRU, LSTM], ids=["gru", "lstm"])
def test_graph_scores_as_the_model(cell, direction, rng):
    model = WordTagger(cell, (Layer(cell, direction=direction),) * 2, 0.5, 0.5)
    sizes = {"word_size": 4, "character_size": 3, "speller_size": 2, "hidden_size": 7}
    params = init_word_tagger(
        model, jax.random.key(0), num_words=9, num_characters=11, num_tags=6, **sizes
    )
    params = randomised(params, rng, jnp.float32)
    word_lengths = rng.permutation(10).reshape(2, 5, 1)  # one of them is 0
    characters = rng.integers(1, 11, size=(2, 5, 9)) * (np.arange(9) < word_lengths)
    feeds = {
        "words": rng.integers(9, size=(2, 5)),
        "characters": characters,
        "lengths": np.array([5, 3]),
    }
    made = to_onnx(model, params, metadata={"for": "the test"})
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (got,) = session.run(None, feeds)
    want = score(model, params, feeds | {"rows": np.arange(2)}, None)
    assert_close(got, want, TOLERANCE_FLOAT32)
    assert session.get_modelmeta().custom_metadata_map == {"for": "the test"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with a run, `tagger.onnx`, and the program of the README."""
    folder = tmp_path_factory.mktemp("serving")
    data = _small_tagging.write_data(folder)
    changes = {"cell": "lstm", "learning_rate": 0.03, "average_decay": 0.0}
    changes |= {
        "word_width": 4,
        "epochs": 4,
        "tokens_per_batch": 30,
        "hidden_size": 16,
        "word_size": 12,
    }
    with jax.enable_x64(False), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pos_tagging, "finish", lambda *_: {})  # no pictures
        run = folder / "run"
        train = _small_tagging.arguments(data, run, **changes)
        assert command(patch, pos_tagging, *train) == 0
        export = ("export", "--run", run, "--onnx", folder / "tagger.onnx")
        assert command(patch, pos_tagging, *export) == 0
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(program.splitlines()) <= 25
    blocks = f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
    (folder / "serve.py").write_text(blocks + program, encoding="utf-8")
    return folder


def test_program_of_the_readme_tags_as_predict_does(exported, monkeypatch, capsys):
    tags = []
    for sentence in SENTENCES:
        served = subprocess.run(
            [sys.executable, "serve.py", sentence], cwd=exported, capture_output=True, text=True
        )
        assert served.returncode == 0, served.stderr
        tags.append(served.stdout.split())
    with jax.enable_x64(False):
        run = exported / "run"
        assert command(monkeypatch, pos_tagging, "predict", "--run", run, *SENTENCES) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1::2]] == tags
    assert len({tag for one in tags for tag in one}) > 3  # else anything would be right
