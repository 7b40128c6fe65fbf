"""Train CJME's audio network on the training clips of a split's seen classes (Parida et al., WACV 2020, section 5).

The paper says that it is trained on the train set of the data set; the architecture is that of Kumar et al. (ICASSP 2018).
How it is trained is ours: Adam, half a cosine, balanced classes, crops of four seconds, SpecAugment (Park et al., 2019).
It is trained once, for both stages: training again with stage 2's clips would change the features between the stages.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, cross_entropy, one_hot

from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file, sha256_value
from avzsl.contracts.records import write_record
from avzsl.runtime import checkpoint
from avzsl.runtime.accelerator import choose_device
from avzsl.runtime.progress import progress
from extractors.i3d_audiocnn import Training
from extractors.i3d_audiocnn.audio_network import AudioNetwork
from extractors.i3d_audiocnn.sound import BANDS
from extractors.i3d_audiocnn.spectrograms import read_spectrograms
from extractors.i3d_audiocnn.training_clips import Heard

# SpecAugment: so many stripes, each of at most so many frames or bands.
STRIPES, STRIPE_FRAMES, STRIPE_BANDS = 2, 24, 8

Frames = Mapping[str, np.ndarray]


@dataclass
class State:
    """What training needs to go on."""

    network: AudioNetwork
    optimiser: torch.optim.Optimizer
    epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


def train_audio_network(
    heard: Heard, training: Training, weights: Path, record: Path, *, device: str, threads: int, split_hash: str
) -> None:
    """Train the network and write its `weights` (.safetensors) and the `record` of how it went.

    The weights depend on the training clips, their classes and the settings alone. A job that was killed goes on where its
    last epoch ended, to the same weights on the same machine. Raises DataError if the sound of too few clips can be read.
    """
    place = choose_device(device)
    torch.set_num_threads(threads)
    work = weights.with_name(f"{weights.stem}.work")
    learnt_from = read_spectrograms([*heard.fit, *heard.held_out], work / "train", threads)
    # Apart from those that are trained on: what is validated on must not move them to other files.
    shown = read_spectrograms(heard.shown, work / "shown", threads)
    names = heard.class_names
    label = {name: index for index, name in enumerate(names)}
    fit = {c.clip_id: label[c.class_name] for c in heard.fit if c.clip_id in learnt_from.frames}
    held_out = {c.clip_id: label[c.class_name] for c in heard.held_out if c.clip_id in learnt_from.frames} or fit
    if len(set(fit.values())) < 2:
        raise DataError(weights, f"cannot be trained: of {len(heard.fit)} clips the sound of {len(fit)} can be read")
    mark = sha256_value([heard.clips_hash, training.model_dump(), names, sorted(fit), torch.__version__, str(place)])
    state = _train(learnt_from.frames, fit, held_out, len(names), training, place, work / "checkpoint.pt", mark)
    with replacing(weights) as partial:
        save_file({name: value.contiguous() for name, value in state.best.items()}, partial)
    state.network.load_state_dict(state.best)
    seen = {c.clip_id: label[c.class_name] for c in heard.shown if c.clip_id in shown.frames}
    write_record(
        record,
        {
            "classes": names, "clips": {"fit": len(fit), "held_out": len(held_out), "val_seen": len(seen)},
            "failed": learnt_from.failed | shown.failed, "clips_hash": heard.clips_hash, "split_hash": split_hash,
            "weights": sha256_file(weights), "settings": training.model_dump(), "curve": state.curve,
            "epoch": state.best_epoch, "confusion": confusion(state.network, shown.frames, seen, len(names)).tolist(),
        },
    )  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)


def _train(
    frames: Frames, fit: dict[str, int], held_out: dict[str, int], labels: int, training: Training,
    device: torch.device, saved: Path, mark: str,
) -> State:  # fmt: skip
    with torch.random.fork_rng([]):
        torch.manual_seed(training.seed)
        network = AudioNetwork(labels)
    if training.standardise:
        network.band_mean, network.band_deviation = bands([frames[clip_id] for clip_id in sorted(fit)])
    network.to(device)
    state = State(network, torch.optim.Adam(network.parameters(), training.lr, weight_decay=training.weight_decay))
    _resume(state, checkpoint.restore(saved, mark, device))
    steps = math.ceil(len(fit) / training.batch_size)
    with progress("audio network", training.epochs * steps, "steps") as ticker:
        ticker.advance(state.epoch * steps)
        while state.epoch < training.epochs and state.epoch - state.best_epoch < training.patience:
            loss = _epoch(state, frames, fit, training, steps, ticker.advance)
            state.epoch += 1
            accuracy = class_accuracy(confusion(network, frames, held_out, labels))
            better = not state.best or accuracy > state.curve[state.best_epoch - 1]["accuracy"]
            state.curve.append({"epoch": state.epoch, "loss": loss, "accuracy": accuracy})
            if better:
                state.best_epoch = state.epoch
                state.best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
            kept = {"epoch": state.epoch, "best": state.best, "best_epoch": state.best_epoch, "curve": state.curve}
            checkpoint.save(saved, mark, {**kept, "network": network.state_dict(), "optimiser": state.optimiser.state_dict()})  # fmt: skip
        ticker.expect(max(state.epoch * steps, 1))
    return state


def _resume(state: State, saved: dict[str, Any] | None) -> None:
    if saved is not None:
        state.network.load_state_dict(saved["network"])
        state.optimiser.load_state_dict(saved["optimiser"])
        state.epoch, state.best_epoch, state.curve = saved["epoch"], saved["best_epoch"], saved["curve"]
        state.best = {name: value.cpu() for name, value in saved["best"].items()}


def _epoch(
    state: State, frames: Frames, fit: dict[str, int], training: Training, steps: int, advance: Callable[[], None]
) -> float:
    """Train for one epoch and return its mean loss; what it draws depends on the seed and its number alone."""
    rng = np.random.default_rng([training.seed, state.epoch])
    clips_of = [sorted(c for c, label in fit.items() if label == one) for one in sorted(set(fit.values()))]
    rate = training.lr * 0.5 * (1 + math.cos(math.pi * state.epoch / training.epochs))
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.network.train()
    total = 0.0
    for _ in range(steps):
        # Balanced: a class first, then one of its clips.
        owners = [clips_of[k] for k in rng.integers(len(clips_of), size=training.batch_size)]
        drawn = [owner[rng.integers(len(owner))] for owner in owners]
        crops = [crop(frames[clip_id], training.crop_frames, rng) for clip_id in drawn]
        batch = state.network.standardised(torch.from_numpy(np.stack(crops)).to(state.network.band_mean.device))
        mask(batch, rng)
        logits = state.network.logits(state.network(batch))
        loss = loss_of(logits, torch.tensor([fit[clip_id] for clip_id in drawn], device=logits.device), training.loss)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
        total += float(loss.detach())
        advance()
    return total / steps


def loss_of(logits: Tensor, labels: Tensor, loss: str) -> Tensor:
    """Return the loss of the segments' logits (N, segments, labels) for the clips' labels (N,): `softmax` or `bce`."""
    if loss == "softmax":
        return cross_entropy(logits.mean(1), labels)
    return binary_cross_entropy(logits.sigmoid().mean(1), one_hot(labels, logits.shape[2]).float())


def bands(clips: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each band over all frames of the clips, float32 (128,); a silent band has deviation 1."""
    count, total, squares = 0, np.zeros(BANDS), np.zeros(BANDS)
    for clip in clips:
        values = np.asarray(clip, np.float64)
        count, total, squares = count + len(values), total + values.sum(0), squares + (values**2).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    deviation[deviation < 1e-3] = 1.0
    return torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(deviation.astype(np.float32))


def crop(clip: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return `length` consecutive frames of a clip (n, 128), which begins again where it is shorter: float32."""
    start = int(rng.integers(max(1, len(clip) - length + 1)))
    if len(clip) >= length:
        return np.asarray(clip[start : start + length], np.float32)
    return np.asarray(clip, np.float32)[np.arange(length) % len(clip)]


def mask(batch: Tensor, rng: np.random.Generator) -> None:
    """Hide stripes of time and of bands of each item (n, frames, 128) behind its mean, in place."""
    for item in batch:
        mean = item.mean()
        for view, widest in ((item, STRIPE_FRAMES), (item.T, STRIPE_BANDS)):
            for _ in range(STRIPES):
                width = int(rng.integers(widest + 1))
                start = int(rng.integers(len(view) - width + 1))
                view[start : start + width] = mean


@torch.inference_mode()
def confusion(network: AudioNetwork, frames: Frames, labels_of: Mapping[str, int], labels: int) -> np.ndarray:
    """Return how many clips of each class (row) are taken for which (column), whole clips one by one: int64 (labels, labels)."""
    network.eval()
    counts = np.zeros((labels, labels), np.int64)
    for clip_id in sorted(labels_of):
        clip = torch.from_numpy(np.asarray(frames[clip_id], np.float32)).to(network.band_mean.device)
        scores = network.logits(network(network.standardised(clip)[None]))[0].mean(0)
        counts[labels_of[clip_id], int(scores.argmax())] += 1
    return counts


def class_accuracy(counts: np.ndarray) -> float:
    """Return the mean over the classes that have clips of the share that is right."""
    there = counts.sum(1) > 0
    return float(np.mean(np.diag(counts)[there] / counts.sum(1)[there])) if there.any() else 0.0
