"""Characters as a reader sees them."""

from .._core.libraries import framework


def graphemes(text: str) -> list[str]:
    """Cuts a text into the characters that a reader sees, marks with their letters.

    One code point is not always a character: an accent, a vowel sign of Devanagari or the parts of
    an emoji belong to the code point before.

    Args:
      text: any text.

    Returns:
      Its grapheme clusters; joined, they are the text.

    Raises:
      ImportError: if the library regex is not installed.

    Example:
      >>> from birnn_jax.text import graphemes
      >>> graphemes("हिन्दी"), len(graphemes("e\\u0301")), len(graphemes("👨‍👩‍👧"))
      (['हि', 'न्दी'], 1, 1)

    References:
      Davis, Unicode Text Segmentation, Unicode Standard Annex 29.
    """
    regex = framework("regex", "'birnn-jax[text]'", "birnn_jax.text.graphemes")
    return regex.findall(r"\X", text)
