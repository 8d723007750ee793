"""Where a measurement was made."""

import datetime
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = "jax jaxlib flax dm-haiku equinox keras torch onnxruntime openvino numpy".split()


def describe(num_threads: int) -> dict:
    """What is the same for all candidates of a run."""
    return {
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), **_versions()},
        "cpu": _cpu_name(),
        "kernels": _kernels(),
        "num_threads": num_threads,
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _kernels() -> str:
    """Which native kernels of ours run here: the instruction set, and how they were built."""
    code = "import birnn_jax; print(birnn_jax.backends().cpu_kernel.why)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.strip()


def _git(*words: str) -> str | None:
    root = Path(__file__).parent
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
