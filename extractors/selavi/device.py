"""SeLaVi's networks on a GPU: raw windows in, batches of one size, the fastest arithmetic that is exact enough.

Nothing here names CUDA: what only a GPU can do is `avzsl.runtime.accelerator`'s, and a test has one that runs on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.contracts.errors import AvzslError
from avzsl.runtime.accelerator import Accelerator, losses
from extractors.base import Features, Window
from extractors.feed import DeviceFeed
from extractors.selavi.picture import SIZE
from extractors.selavi.plan import FRAMES
from extractors.selavi.prepare import prepare_pictures, prepare_sounds
from extractors.selavi.trunks import DIM, FusedAudioTrunk, FusedVideoTrunk, Kernels, Trunks

logger = logging.getLogger(__name__)

# Largest batch that is chosen: beyond it a card gains nothing more. Part of the free memory that a batch may take.
MOST_WINDOWS, SHARE = 128, 0.5
# Averaged features may differ from float32's by this share of the largest, where the arithmetic is chosen here.
TOLERANCE = 1e-3
# Windows whose features are averaged to measure it, the first of the run.
MEASURED_WINDOWS = 8
# Channels between the two convolutions of a pair are filled up to a multiple, as matrix units want it.
MULTIPLE = 8

# Name -> type of the video trunk, whether float32 may be rounded to TF32.
EXECUTIONS = {
    "half": (torch.float16, False),
    "bfloat16": (torch.bfloat16, False),
    "tf32": (torch.float32, True),
    "fused": (torch.float32, False),
}


class DeviceNetworks:
    """Embeds windows of `extractors.selavi.read_raw` (see `extractors.base.Networks`).

    `execution` is one of EXECUTIONS, or auto: the fastest of them whose features, averaged over the first windows of the
    run, stay within TOLERANCE of float32's. What was chosen, and the errors of all, are in `measured`; the identity says
    auto. `batch_windows` None: as many as the memory allows. A batch that memory does not allow is halved.
    """

    audio_dim = visual_dim = DIM

    def __init__(
        self,
        trunks: Trunks,
        identity: dict[str, Any],
        accelerator: Accelerator,
        execution: str,
        batch_windows: int | None,
        *,
        released: bool,
    ) -> None:
        self.identity, self.measured = identity, dict[str, Any]()
        self.feed = DeviceFeed(accelerator.device)
        self._accelerator, self._released = accelerator, released
        self._video, self._audio = trunks.video, FusedAudioTrunk(trunks.audio).to(accelerator.device).eval()
        self._reference = self._trunk(torch.float32)
        self._run: _Run | None = None
        self._candidates = self._allowed(execution)
        self.batch_windows = batch_windows or self._affordable()

    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed windows; the function returned gives float32 (windows, 512) of sound and of picture."""
        with torch.inference_mode(), losses("computing features"):
            if self._run is None:
                self._choose(windows[:MEASURED_WINDOWS])
            visual = self._pictures(windows)
            audio = self._sounds(windows)
            here = [features.to("cpu", non_blocking=True) for features in (audio, visual)]
            done = self._accelerator.mark()

        def wait() -> tuple[np.ndarray, np.ndarray]:
            with losses("computing features"):
                done()
            found = here[1].numpy()
            if not np.isfinite(found).all():
                found = self._again(windows)
            return here[0].numpy(), found

        return wait

    def _allowed(self, execution: str) -> list[str]:
        """Return which executions to choose from, the fastest first by what is usual; says what is not to be had."""
        names = list(EXECUTIONS) if execution == "auto" else [execution]
        allowed = [name for name in names if self._accelerator.lacks(EXECUTIONS[name][0]) is None]
        if not allowed:
            instead = "half" if self._accelerator.lacks(torch.float16) is None else "fused"
            why = self._accelerator.lacks(EXECUTIONS[execution][0])
            logger.warning("execution: %s is not to be had (%s): %s in its place", execution, why, instead)
            self.identity["execution"] = instead
            return [instead]
        return allowed

    def _affordable(self) -> int:
        """Return how many windows a batch may have: by what four of them take, in the widest type that may be chosen."""
        free = self._accelerator.free_bytes()
        if free is None:
            return 16
        try:
            frames = torch.zeros(4, FRAMES, SIZE, SIZE, 3, device=self._accelerator.device)
            with torch.inference_mode():
                taken = self._accelerator.peak_bytes(lambda: self._reference(frames)) / 4 + frames.nbytes / 4
        except torch.OutOfMemoryError:
            return 1
        count = int(min(SHARE * free / max(taken, 1), MOST_WINDOWS))
        return max(count // 8 * 8, min(count, 8), 1)

    def _trunk(self, dtype: torch.dtype, *, cudnn: bool = False) -> FusedVideoTrunk:
        multiple = 1 if dtype is torch.float32 else MULTIPLE
        trunk = FusedVideoTrunk(self._video, Kernels(cudnn=cudnn), multiple)
        return trunk.to(self._accelerator.device, dtype).eval()

    def _choose(self, windows: Sequence[Window]) -> None:
        """Measure every execution that may be chosen on the first windows, and take the fastest that is exact enough."""
        frames = self._frames(windows, torch.float32)
        exact = self._reference(frames)
        found = []
        for name in self._candidates:
            for cudnn in (True, False) if self._accelerator.device.type == "cuda" else (False,):
                dtype, tf32 = EXECUTIONS[name]
                trunk, given = self._trunk(dtype, cudnn=cudnn), frames.to(dtype)
                try:
                    with self._accelerator.float32_as(tf32):
                        error = _error(trunk(given), exact)
                        seconds = min(self._accelerator.seconds(lambda t=trunk, g=given: t(g)) for _ in range(2))  # type: ignore[misc]
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError as failure:  # a kernel that this card or its libraries lack
                    if not cudnn:
                        raise
                    logger.info("%s: no fused kernels (%s)", name, str(failure).splitlines()[0])
                    continue
                found.append((seconds, name, error, trunk))
        for name in self._candidates:
            self.measured[f"{name}_error"] = min(float(f"{e:.2g}") for _, n, e, _ in found if n == name)
        within = [one for one in found if one[2] <= TOLERANCE] if len(self._candidates) > 1 else found
        _, name, error, trunk = min(within or [one for one in found if one[1] == "fused"], key=lambda one: one[0])
        self.measured |= {"execution": name, "visual_relative_error": float(f"{error:.2g}")}
        logger.info(
            "%s on %s, %d windows at a time; relative error of averaged picture features %.2g, measured on %d windows",
            name, self._accelerator.name, self.batch_windows, error, len(windows),
        )  # fmt: skip
        self._run = _Run(self._accelerator, trunk, *EXECUTIONS[name])

    def _pictures(self, windows: Sequence[Window]) -> Tensor:
        assert self._run is not None
        parts: list[Tensor] = []
        at = 0
        while at < len(windows):
            part = windows[at : at + self.batch_windows]
            try:
                given = self._run.room(len(part), self.batch_windows, len(part[0].more["index"]))
                prepare_pictures(part, given, released=self._released)
                parts.append(self._run(len(part), self.batch_windows).clone())
            except torch.OutOfMemoryError as error:
                self._halve(error)
                continue
            at += len(part)
        return torch.cat(parts)

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        assert self._run is not None
        if self.batch_windows == 1:
            raise AvzslError(
                "the GPU's memory does not hold a single window; free it of other processes, or use device: cpu"
            ) from error
        said = self.measured.setdefault("batch_windows", self.batch_windows) != self.batch_windows
        self.batch_windows //= 2
        (logger.info if said else logger.warning)(
            "the GPU's memory does not hold a batch: %d windows at a time from here on", self.batch_windows
        )
        self._run.forget()
        self._accelerator.forget()

    def _again(self, windows: Sequence[Window]) -> np.ndarray:
        """Return the picture features of a batch whose 16 bits did not reach, in float32."""
        logger.warning(
            "%s gives features that are no numbers for some windows: these are computed in float32",
            self.measured["execution"],
        )
        with torch.inference_mode(), losses("computing features"):
            rows = [self._reference(self._frames([window], torch.float32)) for window in windows]
            return torch.cat(rows).cpu().numpy()

    def _frames(self, windows: Sequence[Window], dtype: torch.dtype) -> Tensor:
        shape = (len(windows), len(windows[0].more["index"]), SIZE, SIZE, 3)
        frames = torch.empty(shape, dtype=dtype, device=self._accelerator.device)
        prepare_pictures(windows, frames, released=self._released)
        return frames

    def _sounds(self, windows: Sequence[Window]) -> Tensor:
        """Short clips have shorter spectrograms (as released), so windows are run in groups of one length."""
        out = torch.empty(len(windows), DIM, device=self._accelerator.device)
        lengths = [len(window.audio) for window in windows]
        for length in sorted(set(lengths)):
            places = [k for k, one in enumerate(lengths) if one == length]
            out[places] = self._audio(prepare_sounds([windows[k].audio for k in places], out.device))
        return out


class _Run:
    """A trunk on batches of one size in one place, recorded once; smaller ones run as they are."""

    def __init__(self, accelerator: Accelerator, trunk: FusedVideoTrunk, dtype: torch.dtype, tf32: bool) -> None:
        self._accelerator, self._trunk, self._dtype, self._tf32 = accelerator, trunk, dtype, tf32
        self.forget()

    def forget(self) -> None:
        """Give up the recording and its place."""
        self._given: Tensor | None = None
        self._recorded: Callable[[], Tensor] | None = None

    def room(self, windows: int, most: int, frames: int) -> Tensor:
        """Return where the frames of the next batch go, of any values."""
        if self._given is None or self._given.shape[:2] != (most, frames):
            self.forget()
            shape = (most, frames, SIZE, SIZE, 3)
            self._given = torch.zeros(shape, dtype=self._dtype, device=self._accelerator.device)
        return self._given[:windows]

    def __call__(self, windows: int, most: int) -> Tensor:
        """Return the features of the windows in `room`; the next call overwrites them."""
        given = self._given
        assert given is not None
        with self._accelerator.float32_as(self._tf32):
            if windows < most:
                return self._trunk(given[:windows])
            if self._recorded is None:
                self._recorded = self._accelerator.record(lambda: self._trunk(given))
            return self._recorded()


def _error(features: Tensor, exact: Tensor) -> float:
    """Return the largest difference of the averaged features, relative to the largest of them; infinite for no numbers."""
    ours, theirs = features.double().mean(0), exact.double().mean(0)
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    return error if np.isfinite(error) else float("inf")
