"""The devices that programs are compiled for, and what an environment needs for each platform."""

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

_CUDA = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: {shared_per_core}
  shared_memory_per_block_optin: {shared_per_block}
  threads_per_core_limit: 2048 core_count: {cores} fpus_per_core: {fpus}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth} l2_cache_size: {l2} clock_rate_ghz: {clock}
  device_memory_size: {memory} registers_per_core_limit: 65536 registers_per_block_limit: 65536
  cuda_compute_capability {{ major: {major} minor: 0 }} name: "{name}"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
"""
_ROCM = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 64
  shared_memory_per_block: 65536 shared_memory_per_core: 65536 shared_memory_per_block_optin: 65536
  threads_per_core_limit: 2048 core_count: 304 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65536 block_dim_limit_z: 65536
  memory_bandwidth: 5300000000000 l2_cache_size: 4194304 clock_rate_ghz: 2.1
  device_memory_size: 206158430208
  registers_per_core_limit: 131072 registers_per_block_limit: 131072
  rocm_compute_capability { gcn_arch_name: "gfx942:sramecc+:xnack-" } name: "AMD Instinct MI300X"
}
platform_name: "ROCM"
dnn_version_info { major: 3 minor: 5 }
"""
_HOPPER = {
    "major": 9,
    "shared_per_core": 233472,
    "shared_per_block": 232448,
    "cores": 132,
    "fpus": 128,
    "l2": 50 * 2**20,
    "clock": 1.98,
}
_AMPERE = {
    "major": 8,
    "shared_per_core": 167936,
    "shared_per_block": 166912,
    "cores": 108,
    "fpus": 64,
    "l2": 40 * 2**20,
    "clock": 1.41,
}


class Target(NamedTuple):
    """A device that XLA can compile for on a machine that has none."""

    platform: str
    topologies: dict[int, str] = {}  # noqa: RUF012  # of a TPU, by the number of devices
    config: str = ""  # of a GPU


# From the data sheets of the makers; that of the H200 is what XLA reads on such a device.
TARGETS = {
    "v5e": Target("tpu", topologies={1: "v5e:2x2", 16: "v5e:4x4", 256: "v5e:16x16"}),
    "h200": Target(
        "cuda",
        config=_CUDA.format(
            **_HOPPER, name="NVIDIA H200", memory=151397597184, bandwidth=4800000000000
        ),
    ),
    "h100": Target(
        "cuda",
        config=_CUDA.format(
            **_HOPPER, name="NVIDIA H100 80GB HBM3", memory=85045084160, bandwidth=3350000000000
        ),
    ),
    "a100": Target(
        "cuda",
        config=_CUDA.format(
            **_AMPERE, name="NVIDIA A100-SXM4-80GB", memory=85031714816, bandwidth=2039000000000
        ),
    ),
    "mi300x": Target("rocm", config=_ROCM),
}

# What pip installs for a platform, beside what birnn_jax needs; {jax} is the version of JAX.
PACKAGES = {
    "tpu": ["jax[tpu]=={jax}"],
    "cuda": [
        "jax=={jax}",
        "jax-cuda12-plugin=={jax}",
        "jax-cuda12-pjrt=={jax}",
        "nvidia-cuda-nvcc-cu12",
    ],
    "rocm": ["jax=={jax}", "jax-rocm7-plugin=={jax}", "jax-rocm7-pjrt=={jax}"],
}

# Nothing is asked of a cloud, and no device is looked for.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def find_devices(name: str, count: int) -> list[Any]:
    """So many devices of a target, to compile for. Runs where its platform is installed.

    Raises:
      ValueError: if the target has no arrangement of so many devices.
    """
    from jax.experimental import topologies

    os.environ.update(ENVIRONMENT)
    target = TARGETS[name]
    if target.platform == "tpu":
        if count not in target.topologies:
            known = ", ".join(map(str, target.topologies))
            raise ValueError(f"{name} is arranged in {known} devices, got {count}.")
        topology = topologies.get_topology_desc(target.topologies[count], "tpu")
    else:
        if target.platform == "rocm":
            _load_rocm()
        hosts, devices = (count // 8, 8) if count >= 8 else (1, count)
        topology = topologies.get_topology_desc(
            platform=target.platform, target_config=target.config, topology=f"1x{hosts}x{devices}"
        )
    return list(topology.devices)[:count]


@functools.cache
def _load_rocm() -> None:
    """JAX has passed over the plugin, which refuses to load where it counts no AMD GPU."""
    from unittest import mock

    from jax._src import hardware_utils

    from benchmarks.compilers import _stand_ins

    _stand_ins.load(Path(sys.prefix))
    with mock.patch.object(hardware_utils, "num_available_amd_gpus", lambda stop_at: 1):
        importlib.import_module("jax_plugins.xla_rocm7").initialize()
