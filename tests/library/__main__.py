"""Programs beside the tests, because they take long or need settings of their own.

    python -m tests.library races --kernel gpu --minutes 5

The first word names the program; its options follow, and --help lists them.
"""

import runpy
import sys

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
    runpy.run_module(f"{__package__}.{PROGRAMS[name]}", run_name="__main__", alter_sys=True)
