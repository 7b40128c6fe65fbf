"""Batches of sequences: what a crop holds, what a batch holds, and that neither depends on how it came about."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.streams import Stream
from avzsl.training import sequences
from avzsl.training.crops import LONGEST, Cropper, Part, released_crops
from avzsl.training.sequences import Sequences, chunks

torch.set_num_threads(1)
CPU = torch.device("cpu")


def stream(lengths: list[int], seconds: float, dim: int = 3, dtype: str = "float32") -> Stream:
    """A stream whose values name their clip and step."""
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    clip = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(offsets[-1]) - offsets[clip]
    values = np.stack([100 * clip + place] * dim, 1).astype(dtype)
    return Stream(values, offsets, np.stack([place, place + 1], 1) * seconds)


def rules(**keys: Any) -> TrainingConfig:
    return TrainingConfig(**keys).under("corrected")


def test_a_batch_is_padded_to_its_longest_with_zeros() -> None:
    lengths = [3, 1, 5, 2]
    for dtype in ("float32", "float16"):
        held = Sequences(stream(lengths, 0.5, dtype=dtype), CPU, torch.float32)
        rows = torch.tensor([2, 1, 2, 3])
        part = Part(torch.tensor([1, 0, 4, 0]), torch.tensor([3, 1, 1, 2]))
        steps = held.gather(rows, part)
        assert steps.values.dtype == torch.float32
        assert steps.values[..., 0].tolist() == [[201, 202, 203], [100, 0, 0], [204, 0, 0], [300, 301, 0]]
        assert steps.lengths.tolist() == [3, 1, 1, 2]
        assert steps.times[0].tolist() == [[0.5, 1.0], [1.0, 1.5], [1.5, 2.0]]
        assert steps.times[3].tolist() == [[0, 0.5], [0.5, 1.0], [0, 0]]
    assert held.gather(rows[:0], Part(rows[:0], rows[:0])).values.shape == (0, 0, 3)
    wide = held.gather(rows, Part(torch.zeros(4, dtype=torch.long), torch.tensor([5, 1, 5, 2]), 7))
    assert wide.values.shape == (4, 7, 3)
    assert not wide.values[:, 5:].any()


def test_a_clip_without_steps_of_a_modality_is_padding_alone() -> None:
    """The last clip, whose place in the flat array is its end; the first of the batch; all of the data set's."""
    for lengths, rows in (([2, 0], [1, 0]), ([0, 2, 0], [2, 0, 1]), ([0, 0], [0, 1])):
        held = Sequences(stream(lengths, 0.5), CPU, torch.float32)
        kept = torch.tensor([lengths[row] for row in rows])
        # As released crops have a width of their own, the longest clip decides otherwise.
        for width in (3, None):
            steps = held.gather(torch.tensor(rows), Part(torch.zeros_like(kept), kept, width))
            assert steps.values.shape == (len(rows), 3 if width else int(kept.max()), 3)
            assert steps.own is not None
            real = torch.arange(steps.values.shape[1]) < kept[:, None]
            assert steps.own.tolist() == real.flatten().nonzero()[:, 0].tolist()
            assert not steps.values[~real].any() and not steps.times[~real].any()
            assert steps.lengths.tolist() == kept.tolist()


def test_released_crops() -> None:
    audio, visual = torch.tensor([5, 200, 41, 300]), torch.tensor([8, 300, 60, 480])
    parts = released_crops(audio, visual, 60, (0.96, 0.64), None)
    assert parts["visual"].first.tolist() == [0, 120, 0, 210]
    assert parts["visual"].width == 60
    assert parts["audio"].first.tolist() == [0, 80, 0, 140]
    assert parts["audio"].kept.tolist() == [5, 37, 37, 37]
    assert parts["audio"].width == 37
    # The last start there is, 240, is never drawn.
    last = released_crops(audio, visual, 60, (0.96, 0.64), torch.full((4,), 1 - 1e-12, dtype=torch.float64))
    assert last["visual"].first.tolist() == [0, 239, 0, 419]
    assert last["audio"].first.tolist() == [0, 159, 0, 263]


def test_the_released_collator(shared: Path) -> None:
    golden = np.load(shared / "golden" / "newer" / "tcaf_collate.npz")
    audio, visual = (torch.from_numpy(golden[f"T_{name}"]) for name in ("audio", "video"))
    streams = {"audio": stream(audio.tolist(), 0.96), "visual": stream(visual.tolist(), 0.64)}
    rows = torch.arange(len(audio))
    held = {name: Sequences(s, CPU, torch.float32) for name, s in streams.items()}
    cases: list[tuple[str, dict[str, Any], tuple[float, float]]] = [
        ("max_cls", {"sequence_length": "max"}, (0.96, 0.64)),
        ("fixed60_center_cls", {"sequence_length": "fixed", "test_steps": 60}, (0.96, 0.64)),
        ("fixed300_center_cls", {"sequence_length": "fixed"}, (0.96, 0.64)),
        ("fixed60_center_selavi", {"sequence_length": "fixed", "test_steps": 60}, (1.0, 1.0)),
        ("fixed300_center_selavi", {"sequence_length": "fixed"}, (1.0, 1.0)),
    ]
    for case, keys, seconds in cases:
        cropper = Cropper(streams, TrainingConfig(**keys).under("as_released"), seconds)
        parts = cropper.test_parts(rows)
        for ours, theirs, rate in (("audio", "audio", seconds[0]), ("visual", "video", seconds[1])):
            steps = held[ours].gather(rows, parts[ours])
            assert steps.values.shape[1] == golden[f"{case}/{theirs}/length"], case
            assert steps.lengths.tolist() == golden[f"{case}/{theirs}/kept"].tolist()
            assert (steps.values[..., 0] - 100 * rows[:, None])[:, 0].tolist() == golden[
                f"{case}/{theirs}/first"
            ].tolist()
            assert (steps.values.shape[1] - 1) * rate == golden[f"{case}/{theirs}/timestep_last"]
    # Where the released start of the picture lies, the sound's follows.
    case = "fixed60_random_cls"
    first = torch.from_numpy(golden[f"{case}/video/first"]).double()
    room = (visual - 60).clamp(min=1)
    parts = released_crops(audio, visual, 60, (0.96, 0.64), (first + 0.5) / room)
    for ours, theirs in (("audio", "audio"), ("visual", "video")):
        assert parts[ours].first.tolist() == golden[f"{case}/{theirs}/first"].tolist()
        assert parts[ours].kept.tolist() == golden[f"{case}/{theirs}/kept"].tolist()


def test_corrected_crops_hold_the_same_seconds_of_both() -> None:
    rng = np.random.default_rng(0)
    seconds = rng.integers(1, 400, 50)
    streams = {
        "audio": stream((seconds / 0.96 + 1).astype(int).tolist(), 0.96),
        "visual": stream((seconds / 0.64 + 1).astype(int).tolist(), 0.64),
    }
    cropper = Cropper(streams, rules(sequence_length="fixed", train_steps=60, test_steps=100))
    assert cropper.step_seconds == pytest.approx((0.96, 0.64))
    rows = torch.arange(50)
    for parts, length in (
        (cropper.training_parts(rows, torch.rand(50, dtype=torch.float64)), 60 * 0.64),
        (cropper.test_parts(rows), 100 * 0.64),
    ):
        for row in range(50):
            spans = []
            for name, step in (("audio", 0.96), ("visual", 0.64)):
                _, times = streams[name].clip(row)
                first, kept = int(parts[name].first[row]), int(parts[name].kept[row])
                assert kept >= 1
                assert first + kept <= len(times)
                spans.append((times[first, 0], times[first + kept - 1, 1]))
                if seconds[row] + 0.96 < length:
                    assert (first, kept) == (0, len(times))
                else:
                    assert spans[-1][1] - spans[-1][0] == pytest.approx(min(length, times[-1, 1]), abs=2 * step)
            assert spans[0] == pytest.approx(spans[1], abs=2 * 0.96)
    with pytest.raises(ValueError, match="train_steps"):
        rules(train_steps=0)


def test_clips_shorter_than_a_crop_are_whole_also_the_longest() -> None:
    streams = {"audio": stream([4, 2, 0], 0.5), "visual": stream([4, 1, 3], 0.5)}
    cropper = Cropper(streams, rules(sequence_length="fixed", train_steps=10, test_steps=4))
    for parts in (cropper.training_parts(torch.arange(3), torch.full((3,), 0.9)), cropper.test_parts(torch.arange(3))):
        assert [p.first.tolist() for p in parts.values()] == [[0, 0, 0], [0, 0, 0]]
        assert [p.kept.tolist() for p in parts.values()] == [[4, 2, 0], [4, 1, 3]]


def test_a_crop_begins_with_the_first_step_that_begins_in_it() -> None:
    streams = {"audio": stream([10, 20], 1.0), "visual": stream([10, 20], 1.0)}
    cropper = Cropper(streams, rules(sequence_length="fixed", train_steps=4, test_steps=4))
    rows = torch.tensor([0, 1])
    middle = cropper.test_parts(rows)["visual"]
    assert (middle.first.tolist(), middle.kept.tolist()) == ([3, 8], [4, 4])
    for share, first in ((0.0, [0, 0]), (0.25, [2, 4]), (0.3, [2, 5]), (0.99, [6, 16])):
        parts = cropper.training_parts(rows, torch.full((2,), share, dtype=torch.float64))
        assert parts["audio"].first.tolist() == parts["visual"].first.tolist() == first
        assert parts["audio"].kept.tolist() == [4, 4]


def test_released_crops_at_their_limits() -> None:
    """Sound is moved only where both are cropped, and not behind the last start it has."""
    audio, visual = torch.tensor([10, 11, 12, 50, 50]), torch.tensor([30, 30, 30, 20, 21])
    parts = released_crops(audio, visual, 20, (1.0, 0.5), None)
    assert parts["visual"].first.tolist() == [5, 5, 5, 0, 0]
    assert parts["audio"].width == 10 and parts["audio"].kept.tolist() == [10, 10, 10, 10, 10]
    assert parts["audio"].first.tolist() == [0, 1, 2, 0, 0]
    assert parts["visual"].kept.tolist() == [20, 20, 20, 20, 20]
    drawn = released_crops(audio, visual, 20, (0.5, 1.0), torch.tensor([0.0, 0.3, 0.99, 0.99, 0.99]))
    assert drawn["visual"].first.tolist() == [0, 3, 9, 0, 0]  # never the last possible one
    assert drawn["audio"].first.tolist() == [0, 1, 2, 0, 0]


def test_a_sequence_of_exactly_the_longest_length_is_whole() -> None:
    for length in (LONGEST, LONGEST + 1):
        streams = {"audio": stream([3], 1.0, dim=1), "visual": stream([length], 0.01, dim=1)}
        if length == LONGEST:
            parts = Cropper(streams, rules(), None, np.array([0]), ("a",)).whole(torch.arange(1))
            assert int(parts["visual"].kept) == LONGEST
        else:
            with pytest.raises(DataError, match="clip 'a' has 2001 visual steps"):
                Cropper(streams, rules(), None, np.array([0]), ("a",))


def test_a_step_lasts_as_long_as_most_do() -> None:
    times = np.array([[0.0, 0.5], [0.5, 1.0], [1.0, 5.0]])
    of = {
        name: Stream(np.zeros((3, 1), np.float32), np.array([0, 3]), times * k)
        for name, k in (("audio", 1), ("visual", 2))
    }
    assert Cropper(of, rules()).step_seconds == (0.5, 1.0)
    assert Cropper(of, rules(), (3.0, 4.0)).step_seconds == (3.0, 4.0)
    none = Stream(np.zeros((0, 1), np.float32), np.array([0, 0]), np.zeros((0, 2)))
    still = Stream(np.zeros((3, 1), np.float32), np.array([0, 3]), times * 0)
    assert Cropper({"audio": none, "visual": still}, rules()).step_seconds == (1.0, 1.0)


def test_a_crop_behind_the_only_step_of_a_modality_keeps_that_step() -> None:
    cropper = Cropper(
        {"audio": stream([1], 64.0), "visual": stream([100], 0.64)}, rules(sequence_length="fixed", train_steps=10)
    )
    parts = cropper.training_parts(torch.arange(1), torch.full((1,), 0.9, dtype=torch.float64))
    assert (int(parts["audio"].first[0]), int(parts["audio"].kept[0])) == (0, 1)
    assert int(parts["visual"].first[0]) == 81  # the first that begins after 0.9 of the 57.6 s of room


def test_a_sequence_too_long_for_a_batch_is_named() -> None:
    streams = {"audio": stream([3, 4], 1.0, dim=1), "visual": stream([5, 20_000], 0.001, dim=1)}
    with pytest.raises(
        DataError, match=r"clip 'b' has 20000 visual steps, more than the 2000 .*sequence_length: fixed"
    ):
        Cropper(streams, rules(), None, np.array([0, 1]), ("a", "b"))
    Cropper(streams, rules(), None, np.array([0]), ("a",))
    part = Cropper(streams, rules(sequence_length="fixed", train_steps=19_000)).training_parts(
        torch.tensor([1]), torch.zeros(1)
    )
    assert int(part["visual"].kept) <= LONGEST


def test_chunks_are_whole_and_bounded() -> None:
    rng = np.random.default_rng(0)
    kept = {name: torch.from_numpy(rng.integers(1, 900, 1000)) for name in ("audio", "visual")}
    parts = {name: Part(torch.zeros_like(value), value) for name, value in kept.items()}
    seen = []
    for place in chunks(parts, (128, 4096)):
        longest = [int(value[place].max()) for value in kept.values()]
        assert len(place) == 1 or len(place) * (sum(longest) + 1) ** 2 <= 8 << 20
        assert len(place) == 1 or 4 * len(place) * (longest[0] * 128 + longest[1] * 4096) <= 256 << 20
        seen += place.tolist()
    assert sorted(seen) == list(range(1000))


@pytest.mark.parametrize("width", [None, 700])
def test_chunks_are_as_full_as_they_may_be(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    """By the rule itself, one clip more at a time; a bound is hit exactly, and a clip above all bounds goes alone."""
    rng = np.random.default_rng(1)
    audio, visual = (torch.from_numpy(rng.integers(1, 900, 300)) for _ in range(2))
    parts = {"audio": Part(audio * 0, audio, width), "visual": Part(visual * 0, visual)}
    wide = torch.clamp(audio, min=width or 0)
    order = torch.argsort(wide + visual, stable=True).tolist()
    for limits in (
        (8 << 20, 256 << 20, 4096),
        (30 * 1001**2, 1 << 40, 4096),
        (1 << 40, 1 << 40, 7),
        (1 << 40, 4 << 20, 50),
        (1, 1, 9),
    ):
        for name, value in zip(("PAIRS", "BYTES", "CLIPS"), limits, strict=True):
            monkeypatch.setattr(sequences, name, value)
        want: list[list[int]] = []
        for clip in order:
            tried = [*want[-1], clip] if want else []
            a, v = (max((int(w[i]) for i in tried), default=0) for w in (wide, visual))
            pairs, size = len(tried) * (a + v + 1) ** 2, 4 * len(tried) * (a * 12 + v * 40)
            if want and pairs <= limits[0] and size <= limits[1] and len(tried) <= limits[2]:
                want[-1].append(clip)
            else:
                want.append([clip])
        assert [place.tolist() for place in chunks(parts, (12, 40))] == want


def test_a_bound_that_is_met_exactly_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"audio": Part(torch.zeros(7), torch.full((7,), 9)), "visual": Part(torch.zeros(7), torch.full((7,), 10))}
    for name, value, sizes in (("PAIRS", 3 * 20**2, [3, 3, 1]), ("BYTES", 4 * 2 * (9 * 12 + 10 * 40), [2, 2, 2, 1])):
        with monkeypatch.context() as patch:
            patch.setattr(sequences, name, value)
            assert [len(place) for place in chunks(parts, (12, 40))] == sizes


def test_the_only_step_of_a_data_set_is_padded() -> None:
    held = Sequences(stream([1], 0.5), CPU, torch.float32)
    assert held.gather(torch.tensor([0]), Part(torch.tensor([0]), torch.tensor([1]), 3)).values.shape == (1, 3, 3)


def test_pages_are_given_back_once_enough_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Sequences(stream([3, 3], 0.5), CPU, torch.float32)  # a clip is 36 bytes
    given: list[int] = []
    held._map = SimpleNamespace(madvise=given.append)  # type: ignore[assignment]
    monkeypatch.setattr(sequences, "KEPT", 72)
    told = []
    for _ in range(6):
        held.gather(torch.tensor([1]), Part(torch.tensor([0]), torch.tensor([3])))
        told.append(len(given))
    assert told == [0, 0, 1, 1, 1, 2] and set(given) == {mmap.MADV_DONTNEED}


def test_a_silent_last_clip_is_as_long_as_its_picture() -> None:
    streams = {"audio": stream([6, 0], 0.125), "visual": stream([6, 6], 0.125)}
    cropper = Cropper(streams, rules(sequence_length="fixed", test_steps=2))
    parts = cropper.test_parts(torch.arange(2))
    assert (parts["visual"].first.tolist(), parts["visual"].kept.tolist()) == ([2, 2], [2, 2])
    assert (parts["audio"].first.tolist(), parts["audio"].kept.tolist()) == ([2, 0], [2, 0])
