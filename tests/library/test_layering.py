"""Imports point downwards, and `import birnn_jax` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import birnn_jax

PACKAGE = Path(birnn_jax.__file__).parent

# From the bottom to the top: a room may import itself and the rooms above it in this table. Beside
# each: what it may import from outside the package and the standard library. Other frameworks are
# imported by name inside `interop`, when a function needs one.
ROOMS = {
    "_core": {"jax", "numpy", "typing_extensions"},
    "text": {"jax", "numpy"},
    "cells": {"jax", "typing_extensions"},
    "kernels": {"jax", "jaxlib", "numpy"},
    "data": {"jax", "numpy", "grain"},
    "_recurrence": {"jax"},
    "_stacks": {"jax", "typing_extensions"},
    "selfcheck": {"jax", "numpy"},
    "_losses": {"jax", "typing_extensions"},
    "heads": {"jax", "numpy"},
    "_models": {"jax"},
    "metrics": {"jax", "numpy"},
    "streaming": {"jax"},
    "serving": {"jax"},
    "inspection": {"jax"},
    "_training": {"jax", "numpy", "optax", "orbax", "typing_extensions"},
    "checkpoint": set(),
    "_adapters": {"jax"},
    "linen": {"jax", "flax"},
    "nnx": {"jax", "flax"},
    "stacks": set(),
    "models": set(),
    "training": set(),
    "interop": {"jax", "numpy"},
    "": set(),
}
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    .removesuffix("__init__")
    .strip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def _imports(path):
    """`(level, module)` of every import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def _inside(module):
    """The modules of the package that a module imports, by their names in the table."""
    is_package = FILES[module].name == "__init__.py" and module
    package = module.split(".")[: None if is_package else -1]
    for level, name in _imports(FILES[module]):
        if level > 0:
            yield ".".join([*package[: len(package) + 1 - level], name])


def _room(module):
    return module.split(".")[0]


def test_every_module_has_a_room():
    assert {_room(module) for module in FILES} == ROOMS.keys()


def test_modules_import_their_own_room_and_those_below():
    height = {room: at for at, room in enumerate(ROOMS)}
    wrong = [
        f"birnn_jax.{module} imports birnn_jax.{name}"
        for module in FILES
        for name in _inside(module)
        if height[_room(name)] > height[_room(module)]
    ]
    assert not wrong, "\n".join([*wrong, "Imports go down the table ROOMS: move what is shared."])


def test_modules_import_only_the_libraries_of_their_room():
    wrong = []
    for module, path in FILES.items():
        outside = {name.split(".")[0] for level, name in _imports(path) if level == 0}
        extra = outside - sys.stdlib_module_names - ROOMS[_room(module)]
        wrong += [f"birnn_jax.{module} imports {name}" for name in extra]
    assert not wrong, "\n".join([*wrong, "Add the library to the row of the room in ROOMS."])


def test_train_step_knows_losses_but_no_models():
    inside = {name for module in FILES if _room(module) == "_training" for name in _inside(module)}
    assert "_losses" in inside and not {"_models", "heads"} & set(map(_room, inside))


def test_import_brings_in_nothing_but_jax():
    """Optax, Orbax, Flax, Grain and the libraries of the extras wait for those who use them."""
    code = """if True:
        import sys, jax
        before = {*sys.modules}
        import birnn_jax
        print(*{name.split('.')[0] for name in sys.modules.keys() - before})
    """
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = {name for name in result.stdout.split() if not name.startswith("__editable__")}
    expected = {"jax", "typing_extensions"}  # a newer JAX does without typing_extensions
    assert loaded - sys.stdlib_module_names - expected == {"birnn_jax"}
