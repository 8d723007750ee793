"""Builds the native CPU kernels where there is a C++ compiler; the rest is in pyproject.toml.

Without a compiler, or if one fails, the installation succeeds and everything runs on XLA alone.
What happened stands in `birnn_jax/kernels/cpu/_build.txt`, which `birnn_jax.backends()` reads.
"""

import concurrent.futures
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import setuptools
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

FOLDER = Path("birnn_jax", "kernels", "cpu")
LIBRARY, NOTE = "_kernels.so", "_build.txt"
SOURCES = FOLDER / "src"
WARNINGS = "-std=c++17 -Wall -Wextra -Werror".split()
# From the least to the most: of functions that several units contain, such as those of the
# standard library, the linker keeps the first, and that one must run on every processor.
ISAS = {
    "baseline": "",
    "avx2": "-mavx2 -mfma",
    "avx512": "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mavx2",
}
# One is enough for float64.
FLOAT64 = ("avx2_f64", "-mavx2 -mfma"), ("baseline_f64", "")

# Weights of 8 bits: of the processors with AVX-512 the older ones, without its VNNI, take what AVX2
# has.
BYTES = {
    "baseline": ISAS["baseline"],
    "avx2": ISAS["avx2"],
    "avx512vnni": ISAS["avx512"] + " -mavx512vnni",
}


def look_for(level, names):
    """Flags of a sanitiser, and those of any unit beside it."""
    return f"{level} -g1 -pthread -fsanitize={names} -fno-sanitize-recover=all".split()


# Flags of each program of `make sanitize`, by the instruction set. What threads share is the same
# in all of them, and nothing is called for float64. A unit takes 60 s of processor time to compile
# for addresses and undefined behaviour, 12 for neither; with optimisation three times as long.
SANITIZED = {
    "address,undefined": dict.fromkeys(
        ("baseline", "avx2", "avx512", "avx512vnni"), look_for("-O0", "address,undefined")
    ),
    "thread": {"baseline": look_for("-O1", "thread")},
}
UNSEEN = ["-O0"]  # any other


class BuildError(Exception):
    """What was missing, in one clause."""


class BuildKernels(setuptools.Command):
    """A step of `build`: the library, and a note that says how it was made or why it was not."""

    description = "build the native CPU kernels, where there is a C++ compiler"
    user_options = [("build-lib=", "b", "where the other parts of the package are")]  # noqa: RUF012
    editable_mode = False

    def initialize_options(self):
        self.build_lib = None

    def finalize_options(self):
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self):
        folder = FOLDER if self.editable_mode else Path(self.build_lib, FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        library, note = folder / LIBRARY, folder / NOTE
        before = note.read_text() if note.exists() and library.exists() else ""
        try:
            tools = find_tools()
            text = f"Built by {tools.version} for {tools.machine} ({', '.join(tools.isas)})."
            text = f"{text}\n{digest(sources())}\n{digest([Path(__file__), tools.header])}\n"
            if text != before:
                build_library(tools, library)
        except BuildError as error:
            library.unlink(missing_ok=True)
            text = f"Not built: {error}.\n{digest(sources())}\n\n"
        if text != before:  # other processes may be reading it
            note.write_text(text)
        self.announce(f"birnn_jax, native CPU kernels: {text.splitlines()[0]}", level=3)

    def get_source_files(self):
        return [str(path) for path in sources()]

    def get_outputs(self):
        return [str(Path(self.build_lib, FOLDER, name)) for name in (LIBRARY, NOTE)]

    def get_output_mapping(self):
        return {}


class Sanitize(setuptools.Command):
    """Runs `tests/library/native/sanitize.cc` under the sanitisers: `make sanitize`."""

    description = "run the native CPU kernels under sanitisers"
    user_options = []  # noqa: RUF012

    def initialize_options(self):
        pass

    def finalize_options(self):
        pass

    def run(self):
        tools = find_tools()
        for names, flags_of in SANITIZED.items():
            print(f"-fsanitize={names}", flush=True)
            with tempfile.TemporaryDirectory() as scratch:
                program = str(Path(scratch, "run"))
                driver = Path("tests", "library", "native", "sanitize.cc")
                objects = compile_kernels(
                    tools, scratch, lambda isa, of=flags_of: of.get(isa, UNSEEN), [driver]
                )
                run([*tools.compiler, f"-fsanitize={names}", "-pthread", *objects, "-o", program])
                env = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
                subprocess.run([program], env=env, check=True, timeout=600)


class NativeDistribution(setuptools.Distribution):
    """A package of this platform, so that auditwheel and delocate can repair its wheel."""

    def has_ext_modules(self):
        return True


class PlatformWheel(bdist_wheel):
    """A wheel for any Python: the library does not know Python."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class Tools(NamedTuple):
    """The compiler, what it is and compiles for, and where XLA's headers are."""

    compiler: list[str]
    version: str
    machine: str
    include: str

    @property
    def is_x86(self):
        return self.machine.startswith(("x86_64", "amd64"))

    @property
    def isas(self):
        return ISAS if self.is_x86 else {"baseline": ""}

    @property
    def units(self):
        """For each source that is compiled several times the flags of each, by its namespace."""
        name, flags = FLOAT64[0 if self.is_x86 else 1]
        return {
            "kernels.cc": self.isas | {name: f"{flags} -DBIRNN_SCALAR=double"},
            "bytes.cc": BYTES if self.is_x86 else {"baseline": ""},
        }

    @property
    def header(self):
        return Path(self.include, "xla", "ffi", "api", "c_api.h")


def find_tools():
    compiler = find_compiler()
    machine = run([*compiler, "-dumpmachine"]).strip()
    version = run([*compiler, "--version"]).splitlines()[0]
    return Tools(compiler, version, machine, include_dir())


def build_library(tools, target):
    with tempfile.TemporaryDirectory() as scratch:
        objects = compile_kernels(tools, scratch, lambda isa: ["-O3", "-fPIC"])
        built = Path(scratch, LIBRARY)
        run([*tools.compiler, "-shared", *objects, "-o", str(built)])
        replace(built, target)


def compile_kernels(tools, scratch, flags, others=()):
    """All units at a time, with the flags of their instruction sets; returns the object files."""
    rest = [path for path in sources() if path.suffix == ".cc" and path.name not in tools.units]
    # Those that are compiled once only hand buffers on.
    once = flags("baseline")
    units = [(source, [*once, "-O1"]) for source in rest] + [(source, once) for source in others]
    for name, isas in tools.units.items():
        units += [
            (SOURCES / name, [*flags(isa), f"-DBIRNN_ISA={isa}", *more.split()])
            for isa, more in isas.items()
        ]
    objects = [str(Path(scratch, f"{number}.o")) for number in range(len(units))]
    common = [*WARNINGS, f"-I{SOURCES}", "-isystem", tools.include, "-c"]
    commands = [
        [*tools.compiler, *common, *own, str(source), "-o", out]
        for (source, own), out in zip(units, objects, strict=True)
    ]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(run, commands))
    return objects


def find_compiler():
    """The words of CXX, or the first compiler on the path."""
    if "CXX" in os.environ:
        return shlex.split(os.environ["CXX"])
    names = ("c++", "g++", "clang++")
    for name in names:
        if shutil.which(name):
            return [name]
    raise BuildError(f"there was no C++ compiler ({', '.join(names)}, or what CXX names)")


def include_dir():
    try:
        import jax.ffi
    except ImportError as error:
        raise BuildError(f"JAX, which has the headers, could not be imported ({error})") from error
    return jax.ffi.include_dir()


def run(command):
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"{command[0]} could not be run ({error.strerror})") from error
    if result.returncode:
        print(shlex.join(command), result.stderr, sep="\n")
        lines = result.stderr.splitlines()
        first = next((line for line in lines if "error" in line), f"status {result.returncode}")
        raise BuildError(f"{command[0]} failed: {first.strip().rstrip('.')}")
    return result.stdout


def replace(built, target):
    """In one step: a process that has the old library loaded keeps it whole."""
    beside = target.with_suffix(f".{os.getpid()}")
    shutil.copy(built, beside)
    beside.replace(target)


def sources():
    return sorted(path for path in SOURCES.iterdir() if path.suffix in (".cc", ".h"))


def digest(paths):
    """Of the sources: `birnn_jax.kernels.cpu` compares it with those which it finds."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


build.sub_commands = [*build.sub_commands, ("build_kernels", None)]
setuptools.setup(
    distclass=NativeDistribution,
    ext_modules=[],
    cmdclass={"build_kernels": BuildKernels, "sanitize": Sanitize, "bdist_wheel": PlatformWheel},
)
