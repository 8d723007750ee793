"""Builds the documentation site into build/site, or shows it.

python -m website build   # every warning is an error, every link is checked
python -m website serve   # on http://localhost:8000
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
from importlib.metadata import version

from website.commands import describe_commands
from website.demo import add_runtime
from website.links import find_broken
from website.pages import ROOT, find_repository, stage

STAGED, BUILT = ROOT / "build/site/pages", ROOT / "build/site/html"


def main() -> int:
    """Runs the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m website", description="Documentation site.")
    parser.add_argument("command", choices=["build", "serve"], help="Write it, or show it.")
    command = parser.parse_args().command
    repository = find_repository()
    shutil.rmtree(STAGED, ignore_errors=True)
    stage(STAGED, repository, commands=describe_commands(ROOT))
    print(add_runtime(STAGED / "demo" / "runtime"))
    if command == "serve":
        return _zensical("serve", repository)
    shutil.rmtree(BUILT, ignore_errors=True)
    status = _zensical("build", repository, "--clean", "--strict")
    return status or _report(find_broken(BUILT))


def _zensical(command: str, repository: str, *options: str) -> int:
    """Runs Zensical, which finds `website.formulas` on the path."""
    variables = {
        "DOCS_REPOSITORY": repository,
        "DOCS_VERSION": f"birnn_jax {version('birnn-jax')}, Apache-2.0",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    arguments = [sys.executable, "-m", "zensical", command, "-f", "mkdocs.yml", *options]
    return subprocess.run(arguments, cwd=ROOT, env=os.environ | variables).returncode


def _report(broken: list[str]) -> int:
    """Prints what is broken; the status of the process."""
    print(*broken, sep="\n")
    pages = len(list(pathlib.Path(BUILT).rglob("*.html")))
    print(f"{pages} pages in {BUILT.relative_to(ROOT)}, {len(broken)} broken links")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
