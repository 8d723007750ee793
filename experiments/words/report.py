"""Words with their tags: in rows one above the other, and as JSON."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len

from experiments.runner.run.predicting import Predictor

Words = Sequence[str]


def tags_of_words(tag: Callable[[Sequence[Words]], list[list[str]]]) -> Predictor[Words, list[str]]:
    """How sentences with the tags that `tag` gives them are written."""
    return Predictor(
        predict=tag,
        text=lambda words, tags: aligned([words, tags]),
        record=lambda words, tags: {"words": [*words], "tags": tags},
    )


def aligned(rows: Sequence[Sequence[str]], width: int = 100) -> str:
    """Writes rows of equal length in columns, in blocks no wider than `width` characters.

    Example:
      >>> print(aligned([["I", "know", "."], ["PRON", "VERB", "PUNCT"]]))
      I    know .
      PRON VERB PUNCT
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    blocks: list[list[int]] = [[]]
    for i in range(len(columns)):
        if blocks[-1] and sum(widths[j] + 1 for j in blocks[-1]) + widths[i] > width:
            blocks.append([])
        blocks[-1].append(i)
    return "\n\n".join(
        "\n".join(
            " ".join(row[i] + " " * (widths[i] - cell_len(row[i])) for i in block).rstrip()
            for row in rows
        )
        for block in blocks
    )
