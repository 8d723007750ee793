"""The settings of stacks of many layers."""

import pathlib
from typing import Any, Literal, Self

from experiments.characters.config import TATOEBA, LanguageConfig
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options

Change = Literal["plain", "residual", "layer_norm", "orthogonal", "all"]
CHANGES: dict[Change, dict[str, Any]] = {
    "plain": {},
    "residual": {"residual": True},
    "layer_norm": {"layer_norm": True},
    "orthogonal": {"init": "orthogonal"},
    "all": {"residual": True, "layer_norm": True, "init": "orthogonal"},
}


class DepthConfig(Options):
    """Settings of a run; all others are as in the table of char_lm."""

    text: pathlib.Path = TATOEBA
    """The training text; all of it is used."""
    layers: int = 6
    """Number of LSTM layers."""
    change: Change = "all"
    """Change to a plain stack in the initialisation of torch.nn."""
    hidden_size: int = 256
    """Hidden units of each layer."""
    epochs: int = 80
    """Number of epochs."""
    seed: int = 0
    """Seed of the parameters."""

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """The settings of a run, from its folder."""
        stored = LanguageConfig.of(folder)
        names = ("text", "layers", "hidden_size", "epochs", "seed")
        options: dict[str, Any] = {name: getattr(stored, name) for name in names}
        made = {name: getattr(stored, name) for name in ("residual", "layer_norm", "init")}
        for change in CHANGES:
            config = cls(change=change, **options)
            if all(getattr(config.language, name) == value for name, value in made.items()):
                return config
        raise ValueError(
            f"{folder.path} is a run whose settings are none of the changes that this experiment "
            "compares."
        )

    @property
    def language(self) -> LanguageConfig:
        """All settings of the model and of its training."""
        # Connections and norms stand around the layers above the first.
        changes = {k: v for k, v in CHANGES[self.change].items() if self.layers > 1 or k == "init"}
        options: dict[str, Any] = {
            name: getattr(self, name) for name in ("text", "layers", "epochs", "seed")
        }
        return LanguageConfig(
            held_out=0.0,
            cell="lstm",
            hidden_size=self.hidden_size,
            **options,
            **changes,
        )
