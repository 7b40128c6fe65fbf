"""The two trunks on a device, in one of four executions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.contracts.errors import ConfigError
from avzsl.runtime.accelerator import SLOW_BFLOAT16, accelerator, choose_device, cpu_has_bfloat16
from extractors.base import Features, Window, pictures, sounds
from extractors.openvino_network import OpenVinoNetwork, refuse_gpu
from extractors.selavi import Options, picture
from extractors.selavi.device import DeviceNetworks
from extractors.selavi.plan import FRAMES
from extractors.selavi.trunks import DIM, ChannelsLast, FusedAudioTrunk, FusedVideoTrunk, Trunks
from extractors.weights import load_weights

logger = logging.getLogger(__name__)


def load_networks(options: Options, device: str, threads: int, cache: Path) -> SelaviNetworks | DeviceNetworks:
    """Load the weights that `options` name onto `device` ("auto", "cpu" or "cuda").

    Raises ConfigError for a device that is not there and for half precision and TF32 on a CPU.
    """
    refuse_gpu(options.backend, device)
    where = choose_device("cpu" if options.backend == "openvino" else device)
    if options.execution in ("half", "tf32") and where.type == "cpu":
        raise ConfigError(
            f"features: execution: {options.execution} needs a GPU; auto, bfloat16, fused and exact run on a CPU"
        )
    torch.set_num_threads(threads if where.type == "cpu" else 1)  # the decoding processes have the cores
    with torch.device("meta"):  # shapes only: initialising what is overwritten takes a second
        trunks = Trunks()
    state, weights, random_weights = load_weights(options.weights, trunks.state_dict(), cache)
    trunks.load_state_dict(state, assign=True)
    execution = "fused" if options.execution == "auto" and where.type == "cpu" else options.execution
    identity = {
        "name": "selavi",
        "windows": options.windows,
        "weights": weights,
        "random_weights": random_weights,
        "execution": execution,
    }
    if options.antialias and options.windows == "uniform":
        identity["antialias"] = True
    if where.type == "cuda" and execution != "exact":
        return DeviceNetworks(
            trunks.eval(), identity, accelerator(where), execution, options.batch_windows,
            released=options.windows == "as_released",
        )  # fmt: skip
    if execution == "bfloat16" and not cpu_has_bfloat16():
        logger.warning(SLOW_BFLOAT16)
        execution = "fused"
    batch = threads if where.type == "cpu" else options.batch_windows or 16
    networks = SelaviNetworks(trunks, identity, where, execution, batch, threads)
    networks.measured["execution"] = execution
    if options.backend == "openvino":
        networks.use_openvino(threads)
    return networks


class SelaviNetworks:
    """Embeds windows of `extractors.selavi.read` (see `extractors.base.Networks`).

    exact: torchvision's modules in float32. fused: BatchNorm folded and convolutions split, float32 (relative difference
    about 1e-6). bfloat16, half: the fused form with 16-bit weights and activations in the video trunk; sums and means in float32.

    A CPU runs the trunks window by window, whatever the batch: larger batches are slower there (caches), and so the features
    of a clip do not depend on its neighbours in a batch. In the fused forms `threads` windows are computed side by side, each in
    a thread of its own: threads that share a window wait for one another a dozen times a layer.
    """

    audio_dim = DIM
    visual_dim = DIM

    def __init__(
        self,
        trunks: Trunks,
        identity: dict[str, Any],
        device: torch.device,
        execution: str,
        batch_windows: int,
        threads: int = 1,
    ) -> None:
        # torchvision's convolutions have no room for two windows in the caches.
        self._pool = None if device.type == "cuda" else _pool(1, threads) if execution == "exact" else _pool(threads)
        self.identity = identity
        self.batch_windows = batch_windows
        self._device = device
        self._gpu = device.type == "cuda"
        self._dtype = {"bfloat16": torch.bfloat16, "half": torch.float16}.get(execution, torch.float32)
        self._video_dtype = self._dtype  # of the frames that the video trunk takes
        self._exact = execution == "exact"
        self.trunks = trunks
        self.measured: dict[str, Any] = {}
        # Sixteen bits are measured against the float32 form on the first windows that come.
        self._reference = None if self._dtype is torch.float32 else FusedVideoTrunk(trunks.video).to(device).eval()
        if self._exact:
            video, audio = trunks.video, trunks.audio
        else:
            video = FusedVideoTrunk(trunks.video).to(dtype=self._dtype)
            audio = FusedAudioTrunk(trunks.audio)
        self._video: Callable[[Tensor], Tensor] = video.to(device).eval()
        self._audio: Callable[[Tensor], Tensor] = audio.to(device).eval()

    def use_openvino(self, threads: int) -> None:
        """Run the video trunk with OpenVINO from now on, whose threads share a window; the fused trunk stays for the audio."""
        self._pool = _pool(1)
        self.identity["backend"] = "openvino"
        example = torch.zeros(1, FRAMES, picture.SIZE, picture.SIZE, 3)
        self._video = OpenVinoNetwork(ChannelsLast(self.trunks.video), example, self._dtype, threads)
        self._video_dtype = torch.float32

    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed windows; the function returned gives float32 (windows, 512) of sound and of picture."""
        return self._embed_beside(windows) if self._pool is None else self._embed_here(windows, self._pool)

    @torch.inference_mode()
    def _embed_beside(self, windows: Sequence[Window]) -> Features:
        """Embed a batch on a GPU."""
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        seen = pictures(windows)
        visual = self._run_video(self._stack(seen))
        if self._reference is not None:
            self._measure(visual[0], self._reference(_normalised(self._stack(seen[:1])))[0])
            self._reference = None
        audio = self._embed_audio(sounds(windows))
        # Into pinned memory, queued behind this batch's own work and before the next one's.
        here = [features.to("cpu", non_blocking=True) for features in (audio, visual)]
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()

        def wait() -> tuple[np.ndarray, np.ndarray]:
            done.synchronize()
            return here[0].numpy(), here[1].numpy()

        return wait

    def _embed_here(self, windows: Sequence[Window], pool: ThreadPoolExecutor) -> Features:
        """Embed windows on the CPU, each in a thread of the pool."""

        def run(trunk: Callable[[Tensor], Tensor], window: np.ndarray) -> Tensor:
            with torch.inference_mode():  # a thread's own
                return trunk(self._stack([window]))[0]

        seen = pictures(windows)
        visual = [pool.submit(run, self._run_video, one) for one in seen]
        audio = [pool.submit(run, self._audio, one) for one in sounds(windows)]
        reference, self._reference = self._reference, None
        exact = None
        if reference is not None:
            exact = pool.submit(run, lambda frames: reference(_normalised(frames)), seen[0])

        def wait() -> tuple[np.ndarray, np.ndarray]:
            heard, shown = ([one.result() for one in rows] for rows in (audio, visual))
            if exact is not None:
                self._measure(shown[0], exact.result())
            return torch.stack(heard).numpy(), torch.stack(shown).numpy()

        return wait

    def _run_video(self, frames: Tensor) -> Tensor:
        """(N, 30, 112, 112, 3), uint8 or normalised float32 -> (N, 512) float32."""
        frames = _normalised(frames)
        if self._exact:
            return self._video(frames.permute(0, 4, 1, 2, 3).contiguous())
        return self._video(frames.to(self._video_dtype))

    def _measure(self, features: Tensor, exact: Tensor) -> None:
        """Note the largest difference to float32 of one window's picture features, relative to the largest feature."""
        error = float((features - exact).abs().max() / exact.abs().max())
        self.measured["visual_relative_error"] = float(f"{error:.2g}")
        logger.info(
            "%s: relative error of the picture features %.2g, measured on one window", self.identity["execution"], error
        )

    def _embed_audio(self, audio: list[np.ndarray]) -> Tensor:
        """Short clips have shorter spectrograms (as released), so windows are run in groups of one length."""
        out = torch.empty(len(audio), DIM, device=self._device)
        for length in sorted({one.shape[-1] for one in audio}):
            group = [i for i, one in enumerate(audio) if one.shape[-1] == length]
            out[group] = self._audio(self._stack([audio[i] for i in group]))
        return out

    def _stack(self, arrays: list[np.ndarray]) -> Tensor:
        """Stack on the device; on a GPU through pinned memory, so that the copy runs beside the computation."""
        if not self._gpu:
            return torch.from_numpy(np.stack(arrays))
        kind = torch.from_numpy(np.empty(0, arrays[0].dtype)).dtype
        pinned = torch.empty((len(arrays), *arrays[0].shape), dtype=kind, pin_memory=True)
        np.stack(arrays, out=pinned.numpy())
        return pinned.to(self._device, non_blocking=True)


def _pool(windows: int, threads: int = 1) -> ThreadPoolExecutor:
    """Return a pool that computes a number of windows at a time, each with so many threads."""
    return ThreadPoolExecutor(windows, "window", torch.set_num_threads, (threads,))


def _normalised(frames: Tensor) -> Tensor:
    """Return float32 frames as `picture.normalise` does; uniform windows with antialias arrive as uint8."""
    if frames.dtype == torch.uint8:
        return (frames.float() / 255 - float(picture.MEAN)) / float(picture.DEVIATION)
    return frames
