"""Parameters and states to and from other frameworks, one module for each.

`torch`, `keras`, `linen`, `nnx`, `haiku`, `equinox`, `cudnn`, `onnx`, `safetensors` and `stablehlo`
are imported when they are first used, for example by `birnn_jax.interop.torch.from_torch`. None of
them imports its framework before a function needs it. Every importer gives `(layers, params)` as
`birnn_jax.stack` takes them, in the dtype of the source (float64 needs `jax_enable_x64`); every
exporter takes the same two. What cannot be converted exactly is refused.
"""

from .._core.deprecated import module_getattr as _module_getattr

_MODULES = "cudnn equinox haiku keras linen nnx onnx safetensors stablehlo torch".split()
__getattr__, __dir__, _ = _module_getattr(__name__, _MODULES)
