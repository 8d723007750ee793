"""Programs beside the tests, because they take long or need settings of their own.

    python tests/library races --kernel gpu --minutes 5

The first word names the program; its options follow, and --help lists them.
"""

import runpy
import sys
from pathlib import Path

PROGRAMS = {
    "fuzz": "_fuzz",
    "golden": "golden.make",
    "modes": "_modes",
    "races": "_races",
    "typing": "_typing",
}

if __name__ == "__main__":
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "nothing"
    if name not in PROGRAMS:
        raise SystemExit(f"Name one of {', '.join(PROGRAMS)}; got {name}.")
    folder = Path(__file__).resolve().parent
    sys.path[0] = str(folder.parents[1])
    package = ".".join(folder.parts[-2:])
    runpy.run_module(f"{package}.{PROGRAMS[name]}", run_name="__main__", alter_sys=True)
