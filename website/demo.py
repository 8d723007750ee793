"""Trains the networks of the browser demo and writes the files that the page loads.

python -m website.demo   # trains, exports, and writes docs/demo/models

The page is docs/demo. `python -m website build` puts onnxruntime-web beside it, so that the page
loads nothing but files of the site.
"""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
DEMO = ROOT / "docs" / "demo"
RUNS = ROOT / "build" / "demo"
NAMES = RUNS / "names.tsv"
TREEBANK = ROOT / "experiments" / "data" / "pos_ewt_tiny.tsv.gz"
RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SHIPPED = ("model.onnx", "vocabulary.json", "config.json")
BUDGET = 3_000_000  # bytes of all models
SPOKEN = list("31415")  # in digits.wav, by a synthetic voice

_TAGGER = "--word-size 16 --character-size 16 --speller-size 24 --hidden-size 48"
# Of each model: its experiment, and the options of its training. The entities are names without
# a class: on WNUT-17, which has classes, a network of this size reaches an F1 of 19 %.
MODELS = {
    "tagger": ("pos_tagging", _TAGGER),
    "tagger_forward": ("pos_tagging", f"{_TAGGER} --direction fwd"),
    "entities": (
        "ner",
        f"--train {NAMES.relative_to(ROOT)} "
        "--word-size 12 --character-size 16 --speller-size 24 --hidden-size 40",
    ),
    "sentiment": (
        "sentiment",
        "--word-size 16 --character-size 16 --speller-size 16 --hidden-size 24",
    ),
    "digits": (
        "speech",
        "--task row --hidden-size 40 --dropout 0.2 --strings 3000 --silence 0.2 --cut 0.05 "
        "--speeds 0.8 0.9 1.0 1.1 1.2 --frequency-masks 1 4",
    ),
}
SENTENCES = (
    "I know that man .",
    "I know that he left .",
    "The constructor doesn't throw , it's Hyperparameterisationally awesome !!",
    "Naïve Zoë met Justin Bieber in London",
)


def make_models() -> None:
    """Trains the missing networks, exports all, and records what they say in Python."""
    write_names(NAMES)
    for name, (experiment, options) in MODELS.items():
        run, folder = RUNS / name, RUNS / f"{name}_exported"
        command = [sys.executable, "-m", f"experiments.{experiment}"]
        train = [*command, "train", "--run", run, *options.split()]  # leaves a finished run alone
        subprocess.run(train, check=True, cwd=ROOT)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([*command, "export", "--run", run, "--to", folder], check=True, cwd=ROOT)
        (DEMO / "models" / name).mkdir(parents=True, exist_ok=True)
        for file in SHIPPED:
            shutil.copyfile(folder / file, DEMO / "models" / name / file)
    found = expected()
    (DEMO / "models" / "names.json").write_text(json.dumps(choose_shown(MODELS, found)) + "\n")
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (DEMO / "models" / "expected.json").write_text(text + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in DEMO.glob("models/*/*"))
    print(f"{DEMO / 'models'}: {size / 1e6:.2f} MB")
    if size > BUDGET:
        raise ValueError(f"The models have {size:,} bytes together, over {BUDGET:,}.")


def write_names(path: pathlib.Path) -> None:
    """Writes the bundled treebank with its names as entities: words in a row that it tags PROPN."""
    lines, is_inside = [], False
    with gzip.open(TREEBANK, "rt", encoding="utf-8") as file:
        for line in file:
            word, _, tag = line.rstrip("\n").partition("\t")
            is_name = tag == "PROPN"
            mark = ("I-NAME" if is_inside else "B-NAME") if is_name else "O"
            lines.append(f"{word}\t{mark}\n" if tag else line)
            is_inside = is_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def choose_shown(names: Iterable[str], found: dict[str, Any]) -> list[str]:
    """The networks whose sections the page shows: the recogniser if it recognises its sample."""
    return [name for name in names if name != "digits" or found["digits"] == SPOKEN]


def expected() -> dict[str, Any]:
    """Outputs of the trained models in Python, for the tests of the page and of the examples."""
    from experiments import from_pretrained
    from experiments.sentiment.data import Text
    from experiments.speech.sounds import read_alone
    from experiments.words.segments import split_text

    models = {name: from_pretrained(RUNS / name) for name in MODELS}
    rows = [split_text(sentence) for sentence in SENTENCES]
    scores = json.loads((RUNS / "entities" / "result.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = {"sentences": SENTENCES, "words": rows}
    found["f1_of_entities"] = scores["metrics"]["f1"]
    taggers = {name: model for name, model in models.items() if hasattr(model, "tag")}
    found |= {name: model.tag(rows) for name, model in taggers.items()}
    texts = [Text(*pair, "") for pair in zip(SENTENCES, rows, strict=True)]
    judged = models["sentiment"].judge(texts)
    found["sentiment"] = [list(result[1:]) for result in judged]
    sound = read_alone(DEMO / "digits.wav", models["digits"].config.rate)
    (heard,) = models["digits"].listen([sound], greedy=True)
    return found | {"digits": [*heard.heard]}


def add_runtime(folder: pathlib.Path) -> str:
    """Puts onnxruntime-web from the npm registry into a folder; returns what to report."""
    package, cache = RUNS / "runtime", RUNS / "npm"
    if not (package / RUNTIME_FILES[-1]).exists():
        cache.mkdir(parents=True, exist_ok=True)
        if not (npm := shutil.which("npm")):
            return "The demo lacks onnxruntime-web: npm is not installed."
        command = [npm, "pack", "--silent", RUNTIME, "--pack-destination", str(cache)]
        packed = subprocess.run(command, capture_output=True, text=True, cwd=cache)
        if packed.returncode:
            reason = packed.stderr.strip().partition("\n")[0]
            return f"The demo lacks onnxruntime-web: npm could not load {RUNTIME}. {reason}"
        with tarfile.open(cache / packed.stdout.split()[-1]) as archive:
            for name in RUNTIME_FILES:
                member = archive.getmember(f"package/dist/{name}")
                member.name = name
                archive.extract(member, package, filter="data")
    if folder != package:
        shutil.copytree(package, folder, dirs_exist_ok=True)
    return f"The demo has {RUNTIME}."


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    make_models()
