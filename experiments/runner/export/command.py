"""The command that writes a trained model as a folder."""

import pathlib

from experiments.runner.data.files import require_new
from experiments.runner.export.modules import export_module
from experiments.runner.run.commands import RunCommand
from experiments.runner.run.options import Words


class ExportCommand(RunCommand):
    """Exports the model of a run to a folder, for programs with and without JAX."""

    to: pathlib.Path | None = None
    """Folder to create; it must not exist yet. It gets model.onnx, model.safetensors,
    model.stablehlo, config.json, vocabulary.json and a model card, README.md."""
    opset: int = 18
    """Version of the ONNX operator set, from 17 on."""
    int8: bool = False
    """Write model.int8.onnx too, with weights of 8 bits; the model card compares its measures with
    those of model.onnx on the test data of the run."""
    sizes: Words = ()
    """Write model.static.onnx too, with these sizes of its inputs, such as batch=1 time=64."""

    def run(self) -> None:
        """Exports, and says what was written."""
        from experiments.runner.export.folder import Variants, write_model

        if self.to is None:
            raise ValueError("No folder to write was given. Name one with --to.")
        require_new(self.to)
        variants = Variants(self.opset, self.int8, dict(map(_size, self.sizes)))
        folder = self.folder
        write_model(self.to, folder, export_module(folder).exported(folder), variants)
        files = sorted(path for path in self.to.iterdir() if path.is_file())
        shown = ", ".join(f"{path.name} {_as_text(path.stat().st_size)}" for path in files)
        print(f"{self.to}: {shown}.")


def _as_text(size: int) -> str:
    """A number of bytes.

    Example:
      >>> _as_text(2_340), _as_text(1_234_567)
      ('2.3 kB', '1.2 MB')
    """
    return f"{size / 1e3:.1f} kB" if size < 1e5 else f"{size / 1e6:.1f} MB"


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit():
        raise ValueError(f"sizes must be given as batch=1 time=64, got {text!r}.")
    return name, int(number)
