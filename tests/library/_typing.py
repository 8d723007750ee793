"""Compares what pyright says about the files `typing_*.py` with the marks in them.

    python tests/library typing

A line that ends with `# refused` must have an error, and no other line may have one. A line that
ends with `# reveals TYPE` must be found to be of that type. Types go to the users of the library,
whose editors complete what they know.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Prints every line that is not as its mark says, and ends with 1 if there is one."""
    files = sorted(HERE.glob("typing_*.py"))
    wrong = list(compare(files, run_pyright(files)))
    print("\n".join(wrong) or f"Types are as marked in {', '.join(path.name for path in files)}.")
    sys.exit(bool(wrong))


def run_pyright(files: list[Path]) -> dict[tuple[str, int], list[tuple[str, str]]]:
    """What pyright says: for a file and a line, pairs of a severity and a message."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    output = subprocess.run([*command, *files], capture_output=True, text=True).stdout
    said = {}
    for report in json.loads(output)["generalDiagnostics"]:
        place = Path(report["file"]).name, report["range"]["start"]["line"] + 1
        said.setdefault(place, []).append((report["severity"], report["message"]))
    return said


def compare(files: list[Path], said: dict[tuple[str, int], list[tuple[str, str]]]) -> Iterator[str]:
    """A sentence for every line that is not as its mark says."""
    for path in files:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            reports = said.get((path.name, number), [])
            errors = [message for severity, message in reports if severity == "error"]
            types = re.findall(r'Type of ".*" is "(.*)"', "\n".join(text for _, text in reports))
            place = f"{path.name}:{number}:"
            _, is_marked, expected = line.partition("  # reveals ")
            if line.endswith("  # refused"):
                if not errors:
                    yield f"{place} pyright accepts what it must refuse: {line.strip()}"
            elif errors:
                yield f"{place} pyright refuses what it must accept: {errors[0]}"
            elif is_marked and types != [expected]:
                yield f"{place} expected the type {expected}, found {', '.join(types) or 'none'}."


if __name__ == "__main__":
    main()
