"""BLEU and chrF of translations, by sacreBLEU."""

from collections.abc import Sequence
from typing import NamedTuple

from .._core.libraries import framework


class TranslationScores(NamedTuple):
    """Of translations against their references, of 100.

    Example:
      >>> from birnn_jax.metrics import TranslationScores
      >>> TranslationScores(bleu=26.3, chrf=25.4, signature="nrefs:1|tok:zh").bleu
      26.3
    """

    bleu: float
    chrf: float
    signature: str  # of sacreBLEU: what was measured, and by which version


def score_translations(
    translations: Sequence[str], references: Sequence[str], *, tokenize: str = "13a"
) -> TranslationScores:
    """Scores a test set with sacreBLEU (`pip install 'birnn-jax[metrics]'`).

    Args:
      translations: one sentence a row, as plain text.
      references: of each sentence its reference.
      tokenize: how sacreBLEU cuts sentences into words: "13a", "zh", "char", "none" where they are
        cut already, or any other name that it knows.

    Raises:
      ImportError: if sacreBLEU is not installed.
      ValueError: if there are not as many references as translations, or none.

    Example:
      >>> from birnn_jax.metrics import score_translations
      >>> sentences = ["the cat sat on the mat", "it rains again today"]
      >>> score_translations(sentences, sentences).bleu.__round__(6)
      100.0

    References:
      Papineni et al., BLEU, 2002; Popovic, chrF, 2015; Post, A Call for Clarity in Reporting BLEU
      Scores, 2018.
    """
    if len(translations) != len(references):
        raise ValueError(
            f"There are {len(translations)} translations and {len(references)} references: give "
            "one reference for each translation."
        )
    if not references:
        raise ValueError("There are no sentences to measure.")
    sacrebleu = framework("sacrebleu", "'birnn-jax[metrics]'", "BLEU")
    bleu, chrf = sacrebleu.BLEU(tokenize=tokenize), sacrebleu.CHRF()
    return TranslationScores(
        bleu.corpus_score(translations, [references]).score,
        chrf.corpus_score(translations, [references]).score,
        str(bleu.get_signature()),
    )
