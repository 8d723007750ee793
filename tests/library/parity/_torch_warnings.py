"""Warnings of PyTorch about its own older parts."""

import pytest

# PyTorch 2.13 warns of its own older parts, which others still use.
OF_OLDER_PARTS = [
    pytest.mark.filterwarnings(f"ignore:{what}")
    for what in (
        "`torch.jit:DeprecationWarning",
        "torch.ao:DeprecationWarning",
        ".*weight_norm. is deprecated:FutureWarning",
        "torch.quantize_per:UserWarning",
        "The tensor attributes:UserWarning",
    )
]
