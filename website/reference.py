"""API pages: what `<!-- api: birnn_jax.cells -->` on a page becomes.

The names are read from the source, as `from ._lstm import LSTM as LSTM` or `def from_torch`: a new
public name is on its page at once.
"""

import ast
import pathlib
import re

MARK = re.compile(r"^<!-- api: (\S+) -->$", flags=re.MULTILINE)
RECORD = re.compile(r"(Params|Carry|Gates)$")
_INTRODUCTION = """::: {}
    options:
      members: false
      show_root_heading: false
      show_root_toc_entry: false
      show_source: false"""
SHARED = {"export_layer", "from_linen_cell", "import_layer"}  # of interop.linen, for interop.nnx
THEMES = ("cells", "stacks", "models", "training")  # their names are also those of the top


def expand(text: str, root: pathlib.Path) -> str:
    """`text` with an entry for every public name of the modules that its marks name."""
    return MARK.sub(lambda match: _entries(match[1], root), text)


def public_names(module: str, root: pathlib.Path) -> list[str]:
    """The public names of a module, those that hold parameters or states last.

    Example:
      >>> names = public_names("birnn_jax.cells", pathlib.Path())
      >>> names.index("LSTM") < names.index("ElmanParams"), "checked_init" in names
      (True, False)
    """
    path = root.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names = [name for name in _names(path) if not name.startswith("_") and name not in SHARED]
    return sorted(names, key=lambda name: bool(RECORD.search(name)))


def _names(path: pathlib.Path) -> list[str]:
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            names += [alias.asname for alias in node.names if alias.asname == alias.name]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and path.name != "__init__.py":
            names.append(node.name)
    return [name for name in names if name]


def _entries(module: str, root: pathlib.Path) -> str:
    names = public_names(module, root)
    if module == "birnn_jax":
        elsewhere = {name for theme in THEMES for name in public_names(f"{module}.{theme}", root)}
        names = [name for name in names if name not in elsewhere]
    return "\n\n".join([_INTRODUCTION.format(module), *(f"::: {module}.{n}" for n in names)])
