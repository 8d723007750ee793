"""From files of text to numbers, and back: vocabularies, CoNLL columns, vectors of words, tags.

    sentences = read_conll("train.conll")
    words = build_vocabulary(words for words, tags in sentences)
    tags = build_vocabulary((tags for words, tags in sentences), padding=False, unknown=False)
    examples = [{"words": words.encode(w), "tags": tags.encode(t)} for w, t in sentences]

Files are read as they are found, in any encoding, plain or gzipped; what can only be meant in one
way is read so, and `Reading` notes it. Texts are cut into words by libraries made for it.

| what | names |
| --- | --- |
| tokens and their numbers | `Vocabulary`, `build_vocabulary`, `graphemes` |
| files of columns | `read_conll`, `read_columns`, `Reading` |
| pretrained vectors | `read_vectors`, `embedding_table` |
| tags that write spans | `spans_of_tags`, `convert_tags`, `find_scheme`, `tag_faults` |
"""

from .._core.spans import Span as Span
from .._core.spans import spans_of_tags as spans_of_tags
from .._core.spans import split_tag as split_tag
from ._columns import Block as Block
from ._columns import ColumnFile as ColumnFile
from ._columns import Field as Field
from ._columns import Row as Row
from ._columns import read_columns as read_columns
from ._conll import read_conll as read_conll
from ._graphemes import graphemes as graphemes
from ._reading import Reading as Reading
from ._schemes import complete_tags as complete_tags
from ._schemes import convert_tags as convert_tags
from ._schemes import find_scheme as find_scheme
from ._schemes import tag_faults as tag_faults
from ._vectors import embedding_table as embedding_table
from ._vectors import read_vectors as read_vectors
from ._vocabulary import Vocabulary as Vocabulary
from ._vocabulary import build_vocabulary as build_vocabulary
