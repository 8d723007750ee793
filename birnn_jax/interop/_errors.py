"""The sentences for weights that do not fit: what was expected, what came, and the likely cause."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from .._core.libraries import framework as framework


def check_keys(
    where: str, got: Collection[str], expected: Iterable[str], hint: str | None = None
) -> None:
    """The keys in `got` are those expected, no more and no less."""
    expected = list(expected)
    missing = [key for key in expected if key not in got]
    surplus = [key for key in got if key not in expected]
    if missing or surplus:
        parts = [f"{word} {_quoted(keys)}" for word, keys in
                 [("missing", missing), ("surplus", surplus)] if keys]  # fmt: skip
        cause = hint or _key_cause([*missing, *surplus])
        raise ValueError(f"{where}: {', '.join(parts)}. Likely cause: {cause}.")


def check_shapes(
    where: str, arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Every array has the shape expected for its key."""
    for key, want in expected.items():
        got = np.shape(arrays[key])
        if got != want:
            raise ValueError(
                f"{where}: {key!r} must have shape {want}, got {got}. "
                f"Likely cause: {_shape_cause(got, want)}."
            )


def _quoted(keys: Iterable[str]) -> str:
    return ", ".join(repr(key) for key in keys)


def _key_cause(keys: Collection[str]) -> str:
    if all("reverse" in key or "backward" in key for key in keys):
        return "another number of directions in some of the layers"
    if all("bias" in key or key.endswith((".b", "_b", "/b")) or key == "b" for key in keys):
        return "biases in some of the layers or directions only, or two where one is expected"
    return "another cell, another framework, or parameters of other layers beside these"


def _shape_cause(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    if got == want[::-1] and len(want) == 2:
        return (
            "it is transposed, as in another framework; the order of the gates may be another too, "
            "so use that framework's converter"
        )
    if len(got) != len(want):
        return "one bias where two are expected, two where one is, or a bias of another cell"
    ratios = {(a, b) for a, b in zip(got, want, strict=True) if a != b}
    if all(a == 2 * b or 2 * a == b for a, b in ratios):
        return "another number of directions, in this layer or the one below"
    gates = [(m, n) for m in (1, 3, 4) for n in (1, 3, 4) if m != n]
    if all(any(a * n == b * m for m, n in gates) for a, b in ratios):
        return "another number of gates: 1 in an Elman cell, 3 in a GRU, 4 in an LSTM"
    return "weights of a layer of another size"
