"""An environment for the compiler of each platform: a virtual environment that pip fills."""

import subprocess
import sys
from pathlib import Path

from benchmarks.compilers import _stand_ins
from benchmarks.compilers._targets import PACKAGES

ROOT = Path(__file__).parents[2]
READY = "ready.txt"  # written last, with the packages that were asked for


def find_python(folder: Path, platform: str, jax: str) -> tuple[Path | None, str]:
    """The interpreter of a platform, made if it is not there; or why there is none."""
    home = (folder / f".venv-aot-{platform}").resolve()
    python = home / "bin/python"
    packages = [package.format(jax=jax) for package in PACKAGES[platform]]
    wanted = "\n".join(packages)
    ready = home / READY
    if ready.exists() and ready.read_text() == wanted:
        return python, ""
    print(f"Making {home}: {', '.join(packages)} (over 1 GB) ...", file=sys.stderr, flush=True)
    try:
        _run(sys.executable, "-m", "venv", home)
        _run(python, "-m", "pip", "install", "--quiet", "setuptools>=77", *packages)
        # The library is read from here, so that its native kernels are not built again: what pip
        # would write of it is enough.
        _run(python, "setup.py", "--quiet", "egg_info", "--egg-base", metadata_of(python))
        _run(python, "-m", "pip", "install", "--quiet", *_requirements(metadata_of(python)))
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        install = f"{python} -m pip install {' '.join(packages)}"
        return None, f"Its packages cannot be installed: {last} Try: {install}"
    if platform == "rocm" and (why_not := _stand_ins.make(home)):
        return None, why_not
    ready.write_text(wanted)
    return python, ""


def metadata_of(python: Path) -> Path:
    """The folder with the name and version of birnn_jax, for an interpreter."""
    folder = python.parents[1] / "metadata"
    folder.mkdir(exist_ok=True)
    return folder


def _requirements(folder: Path) -> list[str]:
    """What the library needs: the lines before the first extra."""
    (path,) = folder.glob("*.egg-info/requires.txt")
    return [line for line in path.read_text().partition("\n[")[0].splitlines() if line]


def _run(*words: str | Path) -> None:
    subprocess.run([*map(str, words)], cwd=ROOT, check=True, capture_output=True, text=True)
