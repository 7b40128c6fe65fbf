"""What computing on a device needs beyond tensors: which device, how much memory, work recorded once and replayed.

`Accelerator` computes wherever it is told and records nothing; `Cuda` does on a GPU what only a GPU can. Whoever uses them
need not know which it has, so that a machine without a GPU runs every line but the kernels.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.runtime.cards import claim
from avzsl.runtime.devices import keep_freed_memory

logger = logging.getLogger(__name__)

# Calls before a recording: libraries choose their kernels and allocate in the first of them.
WARM_UP = 3


class LostError(AvzslError):
    """The GPU is gone, or the process's hold of it: nothing can be computed on it any more in this process."""


def choose_device(device: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; auto says once where it runs if there is no GPU.

    The process, which is about to compute, keeps the memory that it frees. Raises ConfigError where cuda was asked for and
    torch sees no GPU.
    """
    keep_freed_memory()
    if device == "cpu":
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if there:
        return torch.device("cuda", torch.cuda.current_device())
    why = _driver_trouble([str(warning.message) for warning in said])
    if device == "cuda":
        raise ConfigError(f"device: cuda was asked for, but torch sees no GPU{why}; use device: auto or cpu")
    logger.info("no GPU%s: the CPU computes", why)
    return torch.device("cpu")


def kind_of(device: str) -> str:
    """Return "cuda" or "cpu": what a job under the configured `device` computes on here."""
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def current_card() -> int:
    """Return the number of the GPU that this thread computes on."""
    return torch.cuda.current_device()


@contextlib.contextmanager
def held_card(kind: str, device: str, share: int = 1) -> Iterator[None]:
    """Compute the block on a GPU of this process's own (`cards.claim`), where `device` means one; else do nothing.

    Raises AvzslError where other jobs hold every GPU.
    """
    if kind_of(device) == "cpu":
        yield
        return
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    with claim(kind, names, share) as number, torch.cuda.device(number):
        yield


# What is said where bfloat16 was asked for and the function below says no.
SLOW_BFLOAT16 = "features: execution: this processor does not multiply bfloat16, so float32 is faster and used"


def cpu_has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 itself; where it only acts as if, float32 is faster."""
    x86 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # always False on other processors
    known = [getattr(torch.cpu, name)() for name in x86 if hasattr(torch.cpu, name)]
    if platform.machine().lower() in ("x86_64", "amd64"):
        return any(known)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _driver_trouble(said: list[str]) -> str:
    """Return what torch warned of while it looked for a GPU, as far as it is the driver's fault."""
    if any("driver" in text and "too old" in text for text in said):
        return f" (the driver is too old for a torch of CUDA {torch.version.cuda}: update it, or install another torch)"
    if any("driver" in text.lower() or "CUDA initialization" in text for text in said):
        return f" (the driver does not answer: {said[0].splitlines()[0][:200]})"
    return ""


class Accelerator:
    """A device that computes at once: a CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def name(self) -> str:
        """What people call the device."""
        return "CPU"

    def lacks(self, dtype: torch.dtype) -> str | None:
        """Return why arithmetic in a type is not to be had here, None if it is."""
        return "it needs a GPU" if dtype is torch.float16 else None

    def free_bytes(self) -> int | None:
        """Return the memory that computations may still take; None: nobody need ask."""
        return None

    def peak_bytes(self, work: Callable[[], Any]) -> int:
        """Run `work` and return the memory that it took at its height."""
        work()
        return 0

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that does what `work` does, on the same tensors.

        `work` takes no arguments, always works on the same tensors, and never looks at a value. It may run `WARM_UP` times
        before: what it changes must be put back by the caller. What the function returns is overwritten by its next call.
        """
        return work

    def seconds(self, work: Callable[[], Any]) -> float:
        """Return how long `work` takes, its launches and all it launched."""
        self.finish()
        started = time.perf_counter()
        work()
        self.finish()
        return time.perf_counter() - started

    def mark(self) -> Callable[[], None]:
        """Return a function that waits for what was begun until now, and for no more."""
        return lambda: None

    def finish(self) -> None:
        """Wait for all that was begun."""

    def forget(self) -> None:
        """Give back memory that is not in use."""

    @contextlib.contextmanager
    def float32_as(self, tf32: bool) -> Iterator[None]:
        """Multiply float32 in the block with or without TF32."""
        yield


class Cuda(Accelerator):
    """An NVIDIA GPU."""

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.device)

    def lacks(self, dtype: torch.dtype) -> str | None:
        # Emulated, it is slower than float32.
        if dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
            return f"{self.name} has no bfloat16"
        return None

    def free_bytes(self) -> int | None:
        free, _ = torch.cuda.mem_get_info(self.device)
        return free + torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)

    def peak_bytes(self, work: Callable[[], Any]) -> int:
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        return int(torch.cuda.max_memory_allocated(self.device)) - before

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        aside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                work()
        torch.cuda.current_stream(self.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads copy windows meanwhile, which must not end the recording.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()

        def replay() -> Any:
            graph.replay()
            return result

        return replay

    def mark(self) -> Callable[[], None]:
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self.device))
        return done.synchronize

    def finish(self) -> None:
        torch.cuda.synchronize(self.device)

    def forget(self) -> None:
        torch.cuda.empty_cache()

    @contextlib.contextmanager
    def float32_as(self, tf32: bool) -> Iterator[None]:
        backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
        before = [backend.allow_tf32 for backend in backends]
        for backend in backends:
            backend.allow_tf32 = tf32
        try:
            yield
        finally:
            for backend, allowed in zip(backends, before, strict=True):
                backend.allow_tf32 = allowed


def accelerator(device: torch.device) -> Accelerator:
    """Return what computes on a device."""
    return Cuda(device) if device.type == "cuda" else Accelerator(device)


@contextlib.contextmanager
def losses(doing: str) -> Iterator[None]:
    """Raise LostError, one sentence, in the place of what torch raises when the GPU went away in the block."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        text = str(error).splitlines()[0] if str(error) else ""
        if "CUDA error" not in text and "CUDA driver error" not in text and "cuDNN" not in text.partition(":")[0]:
            raise
        if "out of memory" in text:  # said by the driver rather than by torch's allocator
            raise torch.OutOfMemoryError(text) from error
        raise LostError(
            f"the GPU was lost while {doing} ({text[:200]}); `dmesg` and `nvidia-smi` may say why, and the next run of "
            "this job goes on from what was finished"
        ) from error
