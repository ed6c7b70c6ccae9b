"""CUDA's runtime, as far as a call of a model needs it: found through the library that needs it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.cuda.gpus import has_driver

# Of CUDA's error codes (driver_types.h), those that have a meaning of their own here.
_OUT_OF_MEMORY = 2
_OLD_DRIVER = 35  # or none
_NO_GPU = {
    _OLD_DRIVER: "the driver is older than the CUDA that the model was made with",
    100: "there is none in this machine, or none that this process may see",
}
_OTHER_GPU = (209, 218, 221, 222)  # no machine code or PTX in the library that this GPU takes
_CAPABILITY, _COOPERATIVE, _PROCESSORS = (75, 76), 95, 16  # cudaDevAttr...
_TO_DEVICE, _TO_HOST = 1, 2
_RELAXED = 2  # cudaStreamCaptureModeRelaxed
_NON_BLOCKING = 1  # cudaStreamNonBlocking
_UNTIMED = 2  # cudaEventDisableTiming
_ON_GPU = (2, 3)  # cudaMemoryTypeDevice, cudaMemoryTypeManaged


class _Pointer(ctypes.Structure):
    """cudaPointerAttributes, of which later versions have more."""

    _fields_ = (("kind", ctypes.c_int), ("device", ctypes.c_int), ("rest", ctypes.c_uint64 * 30))


class Cuda:
    """The functions that are called, each checked."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._library.cudaGetErrorString.restype = ctypes.c_char_p

    def check(self, code: int, doing: str) -> None:
        """Raises what a failure means: RNN751, RNN712, RNN736 or RNN752."""
        if not code:
            return
        text = self._library.cudaGetErrorString(code).decode(errors="replace")
        if code in _NO_GPU:
            missing = code == _OLD_DRIVER and not has_driver()
            why = "this machine has no NVIDIA driver" if missing else _NO_GPU[code]
            message = f"no GPU can be used: {why} ({text})"
            raise _error("RNN751", message, "the same model on the CPU:  --target cpu")
        if code in _OTHER_GPU:
            message = f"the model was made for other GPUs: {text}"
            raise _error("RNN712", message, "compile it for all:  --target cuda")
        if code == _OUT_OF_MEMORY:
            raise _error("RNN736", f"not enough memory on the GPU for {doing}")
        raise _error("RNN752", f"CUDA failed while {doing}: {text} ({code})")

    def _call(self, name: str, doing: str, *arguments: object) -> None:
        self.check(self._library[name](*arguments), doing)

    # ---- devices ------------------------------------------------------------------------------

    def device_count(self) -> int:
        """Raises RNN751 where there is none."""
        found = ctypes.c_int()
        self._call("cudaGetDeviceCount", "looking for GPUs", ctypes.byref(found))
        return found.value

    def current_device(self) -> int:
        found = ctypes.c_int()
        self._call("cudaGetDevice", "looking for GPUs", ctypes.byref(found))
        return found.value

    @contextmanager
    def on(self, device: int) -> Iterator[None]:
        """Makes a device the current one of this thread."""
        before = self.current_device()
        if before == device:
            yield
            return
        self._call("cudaSetDevice", f"turning to GPU {device}", device)
        try:
            yield
        finally:
            self._call("cudaSetDevice", f"turning to GPU {before}", before)

    def _attribute(self, number: int, device: int) -> int:
        found = ctypes.c_int()
        self._call(
            "cudaDeviceGetAttribute", "asking for a GPU's features", ctypes.byref(found), number,
            device,
        )  # fmt: skip
        return found.value

    def capability(self, device: int) -> tuple[int, int]:
        """The compute capability: (9, 0) runs machine code for sm_90."""
        major, minor = (self._attribute(number, device) for number in _CAPABILITY)
        return major, minor

    def launches_together(self, device: int) -> bool:
        """Whether grids can be launched whose blocks wait for each other."""
        return bool(self._attribute(_COOPERATIVE, device))

    def holder_of(self, address: int) -> int | None:
        """The GPU in whose memory an address is; None for one of the host's."""
        found = _Pointer()
        name, doing = "cudaPointerGetAttributes", "asking whose memory it is"
        self._call(name, doing, ctypes.byref(found), ctypes.c_void_p(address))
        return int(found.device) if found.kind in _ON_GPU else None

    # ---- memory -------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        """The address of so many new bytes on the current device."""
        found = ctypes.c_void_p()
        self._call("cudaMalloc", f"{size:,} bytes", ctypes.byref(found), ctypes.c_size_t(size))
        return found.value or 0

    def free(self, address: int) -> None:
        self._library.cudaFree(ctypes.c_void_p(address))

    def upload(self, target: int, source: int, size: int, stream: int) -> None:
        """From host memory, which may change as soon as this returns."""
        self._copy(target, source, size, _TO_DEVICE, stream)

    def download(self, target: int, source: int, size: int, stream: int) -> None:
        """To host memory, when the stream has come so far."""
        self._copy(target, source, size, _TO_HOST, stream)
        self.wait(stream)

    def wait(self, stream: int) -> None:
        """Until all is done that was launched there."""
        self._call("cudaStreamSynchronize", "waiting for the GPU", ctypes.c_void_p(stream))

    def _copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self._call(
            "cudaMemcpyAsync", "copying", ctypes.c_void_p(target), ctypes.c_void_p(source),
            ctypes.c_size_t(size), kind, ctypes.c_void_p(stream),
        )  # fmt: skip

    def clear(self, address: int, size: int) -> None:
        """Makes new memory zero; on return it is, and no stream nor graph has taken note of it."""
        with self._own_stream() as stream:
            self._call(
                "cudaMemsetAsync", "clearing memory", ctypes.c_void_p(address), 0,
                ctypes.c_size_t(size), ctypes.c_void_p(stream),
            )  # fmt: skip
            self.wait(stream)

    # ---- streams and captures -----------------------------------------------------------------

    def follow(self, stream: int, other: int) -> None:
        """What is launched on a stream from now on waits for what was launched on another."""
        event = ctypes.c_void_p()
        doing = "letting a stream wait for another"
        self._call("cudaEventCreateWithFlags", doing, ctypes.byref(event), _UNTIMED)
        try:
            self._call("cudaEventRecord", doing, event, ctypes.c_void_p(other))
            self._call("cudaStreamWaitEvent", doing, ctypes.c_void_p(stream), event, 0)
        finally:
            self._call("cudaEventDestroy", doing, event)

    def capture_of(self, stream: int) -> int | None:
        """The number of the graph of which what is launched there becomes part, instead of being
        run; None if it is run."""
        state, number = ctypes.c_int(), ctypes.c_ulonglong()
        nothing = (ctypes.c_void_p(),) * 4  # what else can be asked for, by CUDA's version
        self._call(
            "cudaStreamGetCaptureInfo", "asking for a stream's state", ctypes.c_void_p(stream),
            ctypes.byref(state), ctypes.byref(number), *nothing,
        )  # fmt: skip
        return number.value if state.value else None

    @contextmanager
    def beside_captures(self) -> Iterator[None]:
        """What this thread does with memory and with other streams does not disturb captures."""
        mode = ctypes.c_int(_RELAXED)
        name, doing = "cudaThreadExchangeStreamCaptureMode", "turning to another capture mode"
        self._call(name, doing, ctypes.byref(mode))
        try:
            yield
        finally:
            self._call(name, doing, ctypes.byref(mode))

    @contextmanager
    def _own_stream(self) -> Iterator[int]:
        """One that no other waits for."""
        found = ctypes.c_void_p()
        self._call(
            "cudaStreamCreateWithFlags", "making a stream", ctypes.byref(found), _NON_BLOCKING
        )
        try:
            yield found.value or 0
        finally:
            self._call("cudaStreamDestroy", "giving a stream back", found)


def _error(code: str, message: str, *hints: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic(code, message, hints=hints)])
