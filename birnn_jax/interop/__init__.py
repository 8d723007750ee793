"""Parameters and states to and from other frameworks, one module for each.

`torch`, `keras`, `linen`, `nnx`, `haiku`, `equinox`, `cudnn`, `onnx` and `safetensors` are imported
by name, for example `from birnn_jax.interop.torch import from_torch`. None of them imports its
framework before a function needs it. Every importer gives `(layers, params)` as `birnn_jax.stack`
takes them, in the dtype of the source (float64 needs `jax_enable_x64`); every exporter takes the
same two. What cannot be converted exactly is refused.
"""
