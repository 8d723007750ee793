"""Every experiment that exports: the folder computes what the model does, and comes back whole."""

import importlib
import json
import unicodedata

import jax
import numpy as np
import onnxruntime
import pytest

from experiments import from_pretrained
from experiments.char_lm import __main__ as char_lm
from experiments.music.compose import commands as compose
from experiments.music.compose.config import MusicConfig
from experiments.music.infill import commands as infill
from experiments.music.infill.config import InfillConfig
from experiments.ner import __main__ as ner
from experiments.ner.config import EntityConfig
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.runner.data.files import DATA
from experiments.runner.export.bundled import BUNDLED
from experiments.runner.run.folder import RunFolder
from experiments.sentiment import __main__ as sentiment
from experiments.sentiment.config import TextConfig
from experiments.speech import __main__ as speech
from experiments.time_series.classify import commands as classify
from experiments.time_series.classify.config import SeriesConfig
from experiments.time_series.impute import commands as impute
from experiments.time_series.impute.config import ImputeConfig
from experiments.translation import __main__ as translation
from experiments.translation.search import Search
from tests.experiments import (
    _small_language,
    _small_music,
    _small_speech,
    _small_tagging,
    _small_translation,
)
from tests.experiments._commands import command
from tests.experiments._small_table import write_table

from ._exports import check, export, random_run
from ._measures import MEASURES
from ._stacks import EXACT, assert_close

FILES = {"README.md", "config.json", "model.safetensors", "run", "vocabulary.json"}
WORDS = {"hidden_size": 5, "word_size": 3, "character_size": 2, "speller_size": 4, "word_width": 5}


@pytest.fixture(autouse=True)
def _as_users_have_it():
    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files of tiny data, by the experiments that read them."""
    folder = tmp_path_factory.mktemp("data")
    tagged = _small_tagging.write_data(folder)
    texts = folder / "texts.tsv"
    rows = ["good\tA fine film !", "bad\tSo dull and dull", "good\tFine , fine", "bad\tDull film"]
    texts.write_text("".join(f"{row} {number}\n" for number in range(9) for row in rows))
    entities = folder / "entities.txt"
    lines = ["A B-PER", "B I-PER", "", "c O", "A B-PER", "c O", "", "c O", "D B-LOC", ""]
    lines += [f"{word} B-{name}\n" for word in "ABDEFGHIJK" for name in ("PER", "LOC")]
    entities.write_text("\n".join(lines * 2))
    return {
        "tagged": tagged,
        "texts": texts,
        "entities": entities,
        "sounds": _small_speech.write_folder(folder / "sounds"),
        "series": write_series(folder / "waves.ts"),
        "table": write_table(folder / "waves.csv"),
        "text": _small_language.write_text(folder),
        "music": _small_music.write_data(folder),
        "pairs": _small_translation.write_columns(folder),
    }


def write_series(path):
    rng = np.random.default_rng(0)
    lines = ["@problemName waves", "@univariate false", "@dimensions 2", "@classLabel true up down"]
    lines.append("@data")
    for number in range(12):
        columns = rng.normal(size=[2, 4 + number % 6]) * [[1], [20]] + [[0], [7]]
        shown = [",".join(f"{value:.3f}" for value in column) for column in columns]
        lines.append(":".join([*shown, "up" if number % 2 else "down"]))
    path.write_text("\n".join(lines) + "\n")
    return path


def files(path):
    return {name: path for name in ("train", "dev", "test")}


RUNS = {
    "pos_tagging": lambda data: (
        pos_tagging.EXPERIMENT,
        _small_tagging.config(data["tagged"], cell="lstm", word_width=5, layers=2),
    ),
    "pos_tagging, a cell without operator": lambda data: (
        pos_tagging.EXPERIMENT,
        _small_tagging.config(data["tagged"], cell="layer_norm_gru", word_width=5),
    ),
    "ner": lambda data: (
        ner.EXPERIMENT,
        EntityConfig(**files(data["entities"]), **WORDS, cell="gru", strict=False),
    ),
    "ner, without a CRF": lambda data: (
        ner.EXPERIMENT,
        EntityConfig(**files(data["entities"]), **WORDS, crf=False),
    ),
    "sentiment": lambda data: (
        sentiment.EXPERIMENT,
        TextConfig(**files(data["texts"]), **WORDS, cell="gru", readout="attention"),
    ),
    "sentiment, the largest": lambda data: (
        sentiment.EXPERIMENT,
        TextConfig(**files(data["texts"]), **WORDS, readout="max"),
    ),
    "speech": lambda data: (
        speech.EXPERIMENT,
        _small_speech.config(
            data["sounds"], cell="lstm", task="row", subsample=(2, 2), join=(1, 2)
        ),
    ),
    "speech, one label": lambda data: (
        speech.EXPERIMENT,
        _small_speech.config(data["sounds"], cell="gru", features="log_mel", normalise=False),
    ),
    "time_series classify": lambda data: (
        classify.EXPERIMENT,
        SeriesConfig(train=data["series"], dev_every=3, cell="gru", layers=1, hidden_size=4),
    ),
    "time_series impute": lambda data: (
        impute.EXPERIMENT,
        ImputeConfig(table=data["table"], steps=5, hidden_size=4),
    ),
    "time_series impute, from behind": lambda data: (
        impute.EXPERIMENT,
        ImputeConfig(table=data["table"], steps=5, hidden_size=4, direction="bwd"),
    ),
    "char_lm": lambda data: (
        char_lm.EXPERIMENT,
        _small_language.config(data["text"], cell="lstm", layers=2, residual=True, layer_norm=True),
    ),
    "char_lm, both directions": lambda data: (
        char_lm.EXPERIMENT,
        _small_language.config(data["text"], cell="gru", direction="both"),
    ),
    "music compose": lambda data: (
        compose.EXPERIMENT,
        MusicConfig(data=data["music"], cell="lstm", hidden_size=5, layers=2),
    ),
    "music infill": lambda data: (
        infill.EXPERIMENT,
        InfillConfig(data=data["music"], cell="gru", hidden_size=5),
    ),
    "translation": lambda data: (
        translation.EXPERIMENT,
        _small_translation.config(data["pairs"], cell="lstm"),
    ),
    "translation, a fixed vector": lambda data: (
        translation.EXPERIMENT,
        _small_translation.config(data["pairs"], attention="none"),
    ),
}
LIMITS = {"pos_tagging": 20, "ner": 3, "sentiment": 8, "char_lm": 15, "music": 88, "translation": 9}
OF_INPUTS = {
    "speech": {
        "time": 420,
        "lengths": [420, 60, 0, 131],
        "tolerance": {"rtol": 1e-3, "atol": 1e-3},
    },
    "time_series": {"missing": True},
    "translation": {"states": 6},
}


@pytest.mark.parametrize("name", RUNS)
def test_folder_computes_what_the_model_does(name, data, tmp_path, rng, monkeypatch, capsys):
    experiment, config = RUNS[name](data)
    module = name.split(",")[0]
    run = random_run(experiment, config, tmp_path / "run", rng)
    exported = export(monkeypatch, module, run, tmp_path / "model")
    written = FILES | {
        f"{part}.{kind}" for part in exported.parts for kind in ("onnx", "stablehlo")
    }
    assert {path.name for path in (tmp_path / "model").iterdir()} == written
    assert "model.safetensors" in capsys.readouterr().out
    options = {
        "limit": LIMITS.get(module.split(" ")[0], 2),
        **OF_INPUTS.get(module.split(" ")[0], {}),
    }
    for part, feeds, found in check(exported, tmp_path / "model", rng, **options):
        signature = json.loads((tmp_path / "model" / "config.json").read_text())
        signature = signature["graphs"][f"{part}.onnx"]
        assert {one["name"] for one in signature["inputs"]} == feeds.keys()
        assert {one["name"] for one in signature["outputs"]} == found.keys()
        for one in signature["outputs"]:
            assert one["dtype"] == found[one["name"]].dtype
            assert len(one["shape"]) == found[one["name"]].ndim
    again = from_pretrained(tmp_path / "model")
    assert_close(again.params, from_pretrained(run).params, EXACT)
    vocabulary = json.loads((tmp_path / "model" / "vocabulary.json").read_text())
    if "labels" in vocabulary:
        count = len(vocabulary["labels"]) + ("blank" in vocabulary)
        assert count == found["logits"].shape[-1]


@pytest.mark.parametrize("name", [*MEASURES, "ner, without a CRF", "speech, one label"])
def test_measures_of_a_graph_are_those_of_the_model(name, data, tmp_path, rng):
    """So the model card compares what it says."""
    experiment, config = RUNS[name](data)
    run = RunFolder.open(random_run(experiment, config, tmp_path / "run", rng, scale=6.0))
    module = name.split(",")[0]
    exporting = importlib.import_module(f"experiments.{module.replace(' ', '.')}.export")
    exported = exporting.exported(run)
    answers = {part: jax.jit(made.function) for part, made in exported.parts.items()}
    found = exported.read_test()(answers)
    assert_close(found, MEASURES[module](exporting.load(run), config), {"rtol": 1e-4})


def encode(vocabulary, sentence):
    """What a program in any language does with vocabulary.json."""
    width = vocabulary["word_width"]

    def spell(word):
        back = width // 2
        kept = word if len(word) <= width else word[: width - back] + word[len(word) - back :]
        unknown = vocabulary["unknown_character"]
        indices = [vocabulary["characters"].get(character, unknown) for character in kept]
        return indices + [vocabulary["no_character"]] * (width - len(indices))

    words = unicodedata.normalize("NFC", sentence).split()
    unknown = vocabulary["unknown_word"]
    indices = [vocabulary["words"].get(word.lower(), unknown) for word in words]
    feeds = {"words": [indices], "characters": [[*map(spell, words)]], "lengths": [len(words)]}
    return {name: np.array(value, np.int32) for name, value in feeds.items()}


@pytest.mark.parametrize("name", ["pos_tagging", "ner"])
def test_labels_are_those_of_predict(name, data, tmp_path, rng, monkeypatch):
    experiment, config = RUNS[name](data)
    run = random_run(experiment, config, tmp_path / "run", rng, scale=5.0)
    export(monkeypatch, name, run, tmp_path / "model")
    vocabulary = json.loads((tmp_path / "model" / "vocabulary.json").read_text())
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    tagger = from_pretrained(tmp_path / "model")
    known = [word for word in vocabulary["words"] if word.isalpha()]
    sentences = [" ".join(rng.permutation(known)[:7]) for _ in range(8)]
    sentences += ["A c D unheard-of", "Ünal c A-B", "c"]
    said = []
    for sentence in sentences:
        (labels,) = session.run(["labels"], encode(vocabulary, sentence))
        said.append([vocabulary["labels"][label] for label in labels[0]])
    assert said == tagger.tag([sentence.split() for sentence in sentences])
    assert len({tag for tags in said for tag in tags}) > 1  # else anything would be right


@pytest.mark.filterwarnings("ignore")
def test_other_forms_card_and_commands(data, tmp_path, rng, monkeypatch, capsys):
    """Fixed sizes and 8 bits, what the card says, and `--run` of an exported folder."""
    experiment, config = RUNS["pos_tagging"](data)
    run, model = random_run(experiment, config, tmp_path / "run", rng), tmp_path / "model"
    words = ["--int8", "--sizes", "batch=2", "time=9", "width=5", "--opset", "20"]
    export(monkeypatch, "pos_tagging", run, model, *words)
    graphs = json.loads((model / "config.json").read_text())["graphs"]
    assert graphs.keys() == {"model.onnx", "model.int8.onnx", "model.static.onnx"}
    assert graphs["model.onnx"]["opset"] == 20
    shapes = [one["shape"] for one in graphs["model.static.onnx"]["inputs"]]
    assert shapes == [[2, 9], [2, 9, 5], [2]]
    vocabulary = json.loads((model / "vocabulary.json").read_text())
    feeds = encode(vocabulary, "a b c d e f g h i")
    feeds = {name: np.repeat(value, 2, axis=0) for name, value in feeds.items()}
    whole, small, fixed = (
        onnxruntime.InferenceSession(model / f"model{form}.onnx").run(["logits"], feeds)[0]
        for form in ("", ".int8", ".static")
    )
    assert_close(fixed, whole, {"rtol": 1e-5, "atol": 1e-5})
    assert 0 < np.abs(small - whole).max() < 1

    card = (model / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "birnn_jax"\npipeline_tag: "token-classification"')
    assert "| accuracy | 0." in card and 'license: "other"' in card
    assert "small.tsv" in card and "The run has not been tested yet." in card
    capsys.readouterr()
    assert command(monkeypatch, pos_tagging, "predict", "--run", model, "I know .") == 0
    served = capsys.readouterr().out
    assert command(monkeypatch, pos_tagging, "predict", "--run", run, "I know .") == 0
    assert capsys.readouterr().out == served and served.split()[:2] == ["I", "know"]
    refused = {
        "holds an exported model, which cannot": _small_tagging.arguments(data["tagged"], model),
        "exists already": ["export", "--run", run, "--to", model],
        "Name one with --to": ["export", "--run", run],
        "have no size 'rows'; they have batch, time, width.": [
            *("export", "--run", run, "--to", tmp_path / "bad", "--sizes", "rows=2")
        ],
        "sizes must be given as batch=1 time=64, got 'batch'.": [
            *("export", "--run", run, "--to", tmp_path / "bad", "--sizes", "batch")
        ],
        "must be from 17": ["export", "--run", run, "--to", tmp_path / "bad", "--opset", 16],
    }
    for sentence, words in refused.items():
        assert command(monkeypatch, pos_tagging, *words) == 1
        assert sentence in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("bad")]


def test_greedy_search_outside_of_the_graphs_translates(data, tmp_path, rng, monkeypatch):
    experiment, config = RUNS["translation"](data)
    run = random_run(experiment, config, tmp_path / "run", rng, scale=3.0)
    export(monkeypatch, "translation", run, tmp_path / "model")
    encoder, decoder = (
        onnxruntime.InferenceSession(tmp_path / "model" / f"{name}.onnx")
        for name in ("encoder", "decoder")
    )
    marks = json.loads((tmp_path / "model" / "config.json").read_text())["preprocessing"]
    translator = from_pretrained(tmp_path / "model")
    source, target = translator.lexicon
    sentences, found = ["one two", "five", "three one"], []
    needed = {one.name for one in decoder.get_inputs()}
    names = [one.name for one in decoder.get_outputs()]
    encoded = [one.name for one in encoder.get_outputs()]
    for sentence in sentences:
        tokens = source.encode(sentence)[None]
        feeds = {"source": tokens, "source_lengths": np.array([tokens.shape[1]], np.int32)}
        known = dict(zip(encoded, encoder.run(None, feeds), strict=True))
        said, token = [], marks["begin"]
        while len(said) < 24 and token != marks["end"]:
            feeds = {name: value for name, value in known.items() if name in needed}
            feeds["tokens"] = np.array([token], np.int32)
            outputs = dict(zip(names, decoder.run(None, feeds), strict=True))
            logits = np.array(outputs["logits"][0])
            logits[: marks["end"] + (token == marks["begin"])] = -np.inf
            token = int(logits.argmax())
            said += [token] * (token != marks["end"])
            known |= {name.removeprefix("next_"): value for name, value in outputs.items()}
        found.append(target.decode(said))
    assert found == translator.translate(sentences, Search(1, 0.0))
    assert len(set(found)) > 1


def test_bundled_data_has_the_licence_of_its_notice():
    notice = (DATA / "README.md").read_text()
    for name, bundled in BUNDLED.items():
        (row,) = [line for line in notice.splitlines() if line.startswith(f"| `{name}`")]
        licence = bundled.licence.upper().replace("CC-", "CC ")
        assert licence.replace("-4", " 4").replace("-2", " 2") in row
