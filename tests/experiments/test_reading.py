"""Files as they are found: their encodings, what is told of them, and how they are split."""

import codecs
import dataclasses
import gzip
import importlib
import pathlib

import jax
import numpy as np
import pytest

from experiments.runner.data.parts import fill_parts, part_of_name, read_parts
from experiments.runner.data.reading import Reading
from experiments.runner.run.sweep import train_all
from tests.experiments._trainings import started_training

TEXT = "né 你好\r\nяю\n"


def write(folder, content, name="a.txt"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-8-sig"), "latin-1"),
        (TEXT.encode("utf-16"), "utf-8"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "latin-1"),
        (TEXT.encode("utf-32"), "utf-8"),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), "utf-8"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("gb18030"), "gb18030"),
        (TEXT.replace("\r\n", "\n").replace("\n", "\r").encode(), "utf-8"),
    ],
)
def test_text_is_read_in_its_encoding(tmp_path, content, encoding):
    path, reading = write(tmp_path, content), Reading(encoding)
    assert reading.text(path) == TEXT.replace("\r\n", "\n")
    assert reading.lines(path) == ["né 你好", "яю"]
    said = {
        b"\xff\xfe\x00": "read as UTF-32, which its byte order mark says",
        b"\x00\x00\xfe": "read as UTF-32, which its byte order mark says",
        b"\xff\xfen": "read as UTF-16, which its byte order mark says",
        b"\xfe\xff\x00": "read as UTF-16, which its byte order mark says",
    }.get(content[:3], "its lines end in carriage returns, as on old Macintoshes")
    marked = content[:2] in (b"\xff\xfe", b"\x00\x00", b"\xfe\xff") or b"\n" not in content
    assert reading.sentences() == [f"{path}: {said}."] * marked


def test_text_in_another_encoding_is_refused_with_its_line_and_the_option(tmp_path):
    path = write(tmp_path, "a\n\nna\xefve\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.txt, line 3: not UTF-8 .*--encoding latin-1"):
        Reading().text(path)
    assert Reading("latin-1").text(path) == "a\n\nna\xefve\n"
    with pytest.raises(ValueError, match=r"There is no encoding 'latin1l'; common ones are utf-8"):
        Reading("latin1l")
    with pytest.raises(ValueError, match="There is no encoding 'base64'"):
        Reading("base64")


def test_each_kind_is_told_once_a_file_with_its_first_places(capsys):
    reading, path = Reading(), pathlib.Path("folder/a.txt")
    for line in (2, 5, 5, 9, 11):
        reading.repaired(path, "an empty line", "left out", line)
    reading.repaired(path, "a header line", "left out", 1)
    for name in ("x.mid", "y.mid"):
        reading.repaired(path.parent, "a file that is none", "left out", name)
    reading.repaired(path, "a mark", "read")
    reading.remark(path, "tags of IO")
    reading.remark(path, "tags of IO")
    reading.tell()
    assert capsys.readouterr().err.splitlines() == [
        "folder/a.txt: tags of IO.",
        "folder/a.txt: an empty line, 5 times (lines 2, 5, 9, ...); left out.",
        "folder/a.txt, line 1: a header line; left out.",
        "folder: a file that is none, 2 times (x.mid, y.mid); left out.",
        "folder/a.txt: a mark; read.",
    ]
    reading.tell()
    assert capsys.readouterr().err == ""


def test_several_runs_tell_of_a_file_once(tmp_path, capsys):
    @dataclasses.dataclass(frozen=True)
    class Config:
        line: int
        seed: int = 0

    def train(config, path):
        for _ in range(2):
            reading = Reading()
            reading.repaired(pathlib.Path("a.txt"), "an empty line", "left out", config.line)
            reading.tell()
        return path

    folders = train_all(tmp_path, {"x": Config(1), "y": Config(2)}, [0, 1, 2], train)
    assert [path.name for path in folders["y"]] == [f"y-seed{seed}" for seed in range(3)]
    told = [f"a.txt, line {line}: an empty line; left out." for line in (1, 2)]
    assert capsys.readouterr().err.splitlines() == told
    train(Config(1), tmp_path)
    assert capsys.readouterr().err.splitlines() == [told[0]] * 2


def test_programs_of_a_run_are_forgotten_before_the_next(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Config:
        seed: int

    double, known = jax.jit(lambda x: 2 * x), []

    def train(config, path):
        known.append(double._cache_size())
        double(np.arange(3 + config.seed))
        return path

    train_all(tmp_path, {"x": Config(0)}, [0, 1, 2], train)
    assert known == [0, 0, 0]


def test_lines_of_a_long_file_are_read_one_by_one(tmp_path):
    path = write(tmp_path, TEXT.encode("utf-16") + "я\rb".encode("utf-16-le"))
    reading = Reading()
    assert list(reading.stream(path)) == ["né 你好", "яю", "я\rb"]
    assert reading.sentences() == [f"{path}: read as UTF-16, which its byte order mark says."]
    path = write(tmp_path, gzip.compress(TEXT.encode()), "a.txt.gz")
    assert next(reading.stream(path)) == "né 你好"
    broken = next(reading.stream(write(tmp_path, b"na\xefve\n")))
    with pytest.raises(ValueError, match=r"a.txt, line 7: not UTF-8 .*--encoding latin-1"):
        reading.refuse_undecodable(path.with_name("a.txt"), 7, broken)
    for name, sentence in (("none", "none does not exist"), ("cut.gz", "cannot be unzipped")):
        path = write(tmp_path, gzip.compress(TEXT.encode())[:-9], name) if "gz" in name else None
        with pytest.raises(ValueError, match=sentence):
            list(reading.stream(path or tmp_path / name))


def test_strict_reading_refuses_what_it_would_bridge():
    with pytest.raises(ValueError, match=r"^a, line 3: an empty line; --strict refuses that.$"):
        Reading(strict=True).repaired(pathlib.Path("a"), "an empty line", "left out", 3)


def parts_of(files, train, dev=None, test=None):
    """The parts, and what was told."""
    reading = Reading()
    parts = read_parts(train, dev, test, read=files.__getitem__, key=str, reading=reading)
    return parts, reading.sentences()


def test_parts_are_those_of_the_file_or_split_off():
    split = {"train": [1, 2], "dev": [3], "test": [4]}
    files = {"split": split, "whole": {None: [*range(100), *range(50)]}, "half": {"train": [5] * 3}}
    assert parts_of(files, "split") == (split, [])
    parts, told = parts_of(files, "whole")
    assert {name: len({*part}) for name, part in parts.items()} == {
        **{"train": 80, "dev": 10, "test": 10}
    }
    assert sorted(item for part in parts.values() for item in part) == sorted(files["whole"][None])
    assert len({*parts["train"]} | {*parts["dev"]} | {*parts["test"]}) == 100
    sizes = f"{len(parts['dev'])} for dev and {len(parts['test'])} for test"
    assert told == [
        f"whole: of its 150 items {sizes} were split off, the same ones with every seed."
    ]
    assert parts_of(files, "whole")[0] == parts
    again = {None: files["whole"][None][::-1]}
    assert {*parts_of({"w": again}, "w")[0]["test"]} == {*parts["test"]}


@pytest.mark.parametrize(
    ("name", "option", "row"),
    [
        ("pos_tagging", "--train", "w{i}\tNOUN\nsings\tVERB\n\n"),
        ("compare_cells", "--data", "w{i}\tNOUN\nsings\tVERB\n\n"),
        ("ner", "--train", "w{i} B-PER\nsings O\n\n"),
        ("sentiment", "--train", "good\tfine {i}\nbad\tdull {i}\n"),
        ("translation", "--data", "one {i}\tuno {i}\n"),
    ],
)
def test_training_on_one_file_prints_what_was_split_off(
    tmp_path, monkeypatch, capsys, name, option, row
):
    text = "".join(row.format(i=i) for i in range(40))
    path, module = (
        write(tmp_path, text.encode()),
        importlib.import_module(f"experiments.{name}.__main__"),
    )
    seeds = []
    for seed in (0, 1):
        words = ("train", option, path, "--seed", seed, "--run", tmp_path / f"run{seed}")
        started_training(monkeypatch, module, *words)
        seeds.append(" ".join(capsys.readouterr().err.split()))
    items = 80 if name == "sentiment" else 40
    tenth = items // 10
    told = f"of its {items} items {tenth} for dev and {tenth} for test were split off, the same"
    assert told in seeds[0] and seeds[0] == seeds[1]


def test_parts_that_are_given_are_taken_and_only_the_others_split_off():
    files = {"whole": {None: [*range(30)]}, "split": {"train": [1], "dev": [3], "test": [4]}}
    parts, told = parts_of(files, "whole", test="split")
    assert [len(part) for part in parts.values()] == [27, 3, 1] and parts["test"] == [4]
    assert told == [
        "whole: of its 30 items 3 for dev were split off, the same ones with every seed."
    ]
    assert parts_of(files, "split", dev="whole")[0] == {
        **{"train": [1], "dev": [*range(30)], "test": [4]}
    }


def test_the_file_of_training_given_again_is_split_and_not_measured_on_itself():
    files = {"whole": {None: [*range(30)]}}
    assert parts_of(files, "whole", "whole", "whole") == parts_of(files, "whole")


@pytest.mark.parametrize("number", [3, 4, 9, 31])
def test_small_data_has_something_in_every_part(number):
    items = [f"item {i}" for i in range(number)]
    parts = fill_parts(pathlib.Path("a"), {None: items}, key=str, reading=Reading())
    sizes = [len(part) for part in parts.values()]
    share = max(1, round(number / 10))
    assert sizes == [number - 2 * share, share, share]


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="whole has 2 different items, too few to split dev and"):
        parts_of({"whole": {None: [1, 2, 2]}}, "whole")
    with pytest.raises(ValueError, match="some has no part train; it has test"):
        parts_of({"some": {"test": [1]}}, "some")
    with pytest.raises(ValueError, match="some has no part dev; it has test"):
        parts_of({"some": {"test": [1]}, "whole": {None: [1]}}, "whole", dev="some")


def test_parts_have_other_names_too():
    names = ("train", "valid", "Validation", " dev", "val", "test", "tests")
    parts = [*("train", "dev", "dev", "dev", "dev", "test"), None]
    assert [part_of_name(name) for name in names] == parts
