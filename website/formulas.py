"""Formulas as MathML: made when the site is built, shown by every browser without a script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.postprocessors import Postprocessor

# What pymdownx.arithmatex makes of $...$ and $$...$$.
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', flags=re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', flags=re.DOTALL)


class _Formulas(Postprocessor):
    def run(self, text: str) -> str:
        """Replaces every formula in LaTeX."""
        text = _INLINE.sub(lambda match: convert(html.unescape(match[1])), text)
        return _BLOCK.sub(self._block, text)

    @staticmethod
    def _block(match: re.Match[str]) -> str:
        formula = convert(html.unescape(match[1].strip()), display="block")
        return f'<div class="formula">{formula}</div>'


class FormulaExtension(Extension):
    """Turns formulas into MathML, after everything else."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Registers the replacement."""
        md.postprocessors.register(_Formulas(md), "formulas", 0)


def makeExtension(**settings: Any) -> FormulaExtension:
    """Makes the extension, under the name that Markdown looks for."""
    return FormulaExtension(**settings)
