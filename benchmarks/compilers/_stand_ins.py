"""Empty libraries in place of ROCm's, so that JAX's plugin for AMD GPUs loads without them.

Its compiler needs none of them, but the plugin is linked to all. PyPI has the plugin, ROCm it has
not. Every function of a stand-in returns hipErrorNoDevice.
"""

import ctypes
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_PLUGIN = "lib/python*/site-packages/jax_plugins/xla_rocm7/xla_rocm_plugin.so"
_NO_DEVICE = 100
_NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")
# Of the section of versions that are needed: a library, and each of its versions.
_VERSIONS = re.compile(r"File: (\S+)|Name: (\S+)")
_UNDEFINED = re.compile(r"GLOBAL +DEFAULT +UND (\w+)(?:@@?(\S+))?")


def make(home: Path) -> str:
    """Builds them into the environment `home`; returns why that cannot be done, or nothing."""
    (plugin,) = home.glob(_PLUGIN)
    folder = _folder(home)
    folder.mkdir(exist_ok=True)
    try:
        for name, versions in _find_missing(plugin).items():
            _build(folder / name, versions)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        return (
            f"ROCm is not installed, and a stand-in for its libraries needs readelf and a C "
            f"compiler: {error}. Try: apt-get install gcc"
        )
    return ""


def load(home: Path) -> None:
    """Before the plugin is loaded, which then finds them by their names."""
    for path in _folder(home).glob("*.so.[0-9]*"):
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _folder(home: Path) -> Path:
    return home / "stand_ins"


def _find_missing(plugin: Path) -> dict[str, dict[str, list[str]]]:
    """The libraries that are not there, with their versions and the functions of each.

    Functions without a version may be those of any library that has no versions: of each.
    """
    needed = _NEEDED.findall(_read(plugin, "--dynamic"))
    functions = defaultdict(list)
    for function, version in _UNDEFINED.findall(_read(plugin, "--dyn-syms")):
        functions[version].append(function)
    versions = defaultdict(dict)
    for library, version in _pairs(_read(plugin, "--version-info")):
        versions[library][version] = functions[version]
    plain = {"": functions[""]}
    return {name: versions.get(name, plain) for name in needed if not _is_there(name)}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    library = ""
    for file, version in _VERSIONS.findall(text.partition("Version needs section")[2]):
        if version:
            yield library, version
        library = file or library


def _is_there(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _build(path: Path, versions: dict[str, list[str]]) -> None:
    functions = sorted(function for each in versions.values() for function in each)
    source, script = path.with_suffix(".c"), path.with_suffix(".map")
    source.write_text("".join(f"long {f}(void) {{ return {_NO_DEVICE}; }}\n" for f in functions))
    words = ["cc", "-shared", "-fPIC", "-w", source, "-o", path, f"-Wl,-soname,{path.name}"]
    if "" not in versions:
        pairs = [(version, "".join(f"{f}; " for f in each)) for version, each in versions.items()]
        script.write_text("".join(f"{version} {{ {names}}};\n" for version, names in pairs))
        words.append(f"-Wl,--version-script={script}")
    subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)


def _read(plugin: Path, what: str) -> str:
    words = ["readelf", "--wide", what, str(plugin)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
