"""A few sentences with entities, and a tagger of them that takes seconds."""

from experiments.ner.config import Columns
from experiments.ner.data import read_entities, with_all_tags
from experiments.runner.data.reading import Reading
from experiments.words.data import build_vocabulary
from tests.experiments import _small_tagging

USUAL = Columns()
TINY = _small_tagging.OPTIONS | {"epochs": 2}
CHINESE = "王 B-PER\n小 M-PER\n明 E-PER\n在 O\n京 S-LOC\n\n\u3000 O\n# O\n\n"


def read(folder, text, columns=USUAL, scheme=None, name="data.txt", reading=None):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_entities(path, columns, scheme, reading or Reading())


def tagging(folder):
    """Sentences and their vocabulary."""
    text = "A B-PER\nB I-PER\n\nc O\nA B-PER\nc O\n\nc O\n"
    sentences = read(folder, text).parts[None]
    vocabulary = with_all_tags(build_vocabulary(sentences), "BIO")
    return sentences, vocabulary
