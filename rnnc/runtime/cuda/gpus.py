"""The GPUs of this machine, as the driver knows them: no model and no CUDA runtime is needed."""

from __future__ import annotations

import ctypes

_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
DRIVER = "libcuda.so.1"


def has_driver(driver: str = DRIVER) -> bool:
    """Whether NVIDIA's driver is in this machine."""
    try:
        ctypes.CDLL(driver)
    except OSError:
        return False
    return True


def capabilities(driver: str = DRIVER) -> list[tuple[int, int]] | str:
    """The compute capability of each GPU, (9, 0) for sm_90; or why there is none."""
    try:
        library = ctypes.CDLL(driver)
    except OSError:
        return "no NVIDIA driver"
    if code := library.cuInit(0):
        return "no GPU that this process may see" if code == 100 else f"the driver fails ({code})"
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    found: list[tuple[int, int]] = []
    for device in range(count.value):
        parts = [ctypes.c_int() for _ in _CAPABILITY]
        for part, number in zip(parts, _CAPABILITY, strict=True):
            library.cuDeviceGetAttribute(ctypes.byref(part), number, device)
        found.append((parts[0].value, parts[1].value))
    return found or "no GPU"


def runs_on(feature: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU takes machine code (`sm_90`: its own generation) or PTX (`compute_90`: also
    later ones)."""
    kind, _, number = feature.partition("_")
    major, minor = divmod(int(number), 10)
    if kind == "sm":
        return capability[0] == major and capability[1] >= minor
    return capability >= (major, minor)
