from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.benchmark import assemble, load
from avzsl.benchmark.synthetic import small, write
from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import DataError
from avzsl.training import sampling
from avzsl.training.sampling import BalancedSet, DeviceData

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DeviceData:
    folder: Path = tmp_path_factory.mktemp("sampling")
    counts, vectors = small((4, 2, 2), clips=5)
    counts["train"] = dict(zip(counts["train"], (1, 2, 30, 7), strict=True))
    files = write(folder / "in", counts, vectors)
    assemble(files.split, files.pack, [], files.embeddings, folder / "b")
    return DeviceData(load(folder / "b", files.pack[0], files.embeddings), torch.device("cpu"), "float32")


def test_classes_are_drawn_uniformly_and_clips_uniformly_within_them(source):
    data = BalancedSet(source, source.data.subset("train"), 0)
    positive, negative = data.draw((20_000,))
    labels = data.labels[positive].numpy()
    shares = np.bincount(labels) / len(labels)
    np.testing.assert_allclose(shares, 0.25, atol=0.015)
    inside = np.bincount(positive[labels == 2].numpy() - 3, minlength=30) / (labels == 2).sum()
    np.testing.assert_allclose(inside, 1 / 30, atol=0.012)
    others = data.labels[negative].numpy()
    assert (labels != others).all()
    for label in range(4):
        share = np.bincount(others[labels == label], minlength=4) / (labels == label).sum()
        np.testing.assert_allclose(np.delete(share, label), 1 / 3, atol=0.03)


def test_a_batch_holds_the_clips_it_says(source):
    subset = source.data.subset("train")
    data = BalancedSet(source, subset, 1)
    ids = source.data.record.clips["train"]["usable"]
    assert len(data.rows) == ids == 40
    for batch in data.batches(3, 16):
        for clips in (batch.positive, batch.negative):
            torch.testing.assert_close(clips.text, batch.classes[clips.labels])
            for audio, label in zip(clips.audio, clips.labels, strict=True):
                row = int((source.audio == audio).all(1).nonzero()[0])
                where = subset.rows.tolist().index(row)
                name = source.data.class_names[subset.labels[where]]
                assert name == source.data.class_names[label]


def test_blocks_hold_every_clip_once_as_the_pack_has_them(source, monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK", 7)
    subset = source.data.subset("train")
    data = BalancedSet(source, subset, 1)
    blocks = list(data.blocks())
    assert [len(block.labels) for block in blocks] == [7, 7, 7, 7, 7, 5] and len(data) == 40
    torch.testing.assert_close(
        torch.cat([block.visual for block in blocks]), source.visual[np.sort(subset.rows)], rtol=0, atol=0
    )
    for block in blocks:
        torch.testing.assert_close(block.text, data.classes[block.labels])
    assert torch.cat([block.labels for block in blocks]).bincount().tolist() == [1, 2, 30, 7]


def test_the_same_seed_draws_the_same(source):
    draws = [BalancedSet(source, source.data.subset("train"), seed).draw((50,))[0] for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_one_class_gives_no_negative(source):
    subset = source.data.subset("train")
    only = type(subset)(subset.rows[:1], subset.labels[:1], subset.clip_ids[:1], subset.subsets[:1])
    with pytest.raises(DataError, match="at least two classes"):
        BalancedSet(source, only, 0)


def test_presets_fill_in_what_was_left_to_them():
    assert TrainingConfig().under("corrected").stage2_schedule == "replay"
    released = TrainingConfig().under("as_released")
    assert (released.stage2_schedule, released.beta, released.class_rows) == ("plateau", "mean", "as_released")
    mine = TrainingConfig(stage2_schedule="replay", class_rows="aligned").under("as_released")
    assert (mine.stage2_schedule, mine.beta, mine.class_rows) == ("replay", "mean", "aligned")


def test_two_classes_are_enough_and_rounding_leaves_no_class(source, monkeypatch):
    subset = source.data.subset("train")
    two = subset.labels < 2
    pair = type(subset)(subset.rows[two], subset.labels[two], ("",) * 3, ("train",) * 3)
    data = BalancedSet(source, pair, 0)
    # The largest share there is, rounded up: the last clip of each class, not the first of the next.
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.ones(shape, dtype=torch.float64))
    assert data._within(torch.tensor([0, 1, 0])).tolist() == [0, 2, 0]


def test_what_a_method_is_told_of_its_data(source):
    data = BalancedSet(source, source.data.subset("train"), 0)
    assert data.named is None
    assert data.extractor == {"name": "synthetic", "random_weights": True}
    assert len(next(iter(data.batches(1, 4))).negative.labels) == 4
    assert (
        len(next(iter(BalancedSet(source, source.data.subset("train"), 0, None, False).batches(1, 4))).negative.labels)
        == 0
    )


def test_a_pack_on_the_disk_stays_there_or_goes_to_its_device_piece_by_piece(source, tmp_path, monkeypatch):
    whole = np.arange(21, dtype=np.float32).reshape(7, 3)
    whole.tofile(tmp_path / "pack")
    mapped = np.memmap(tmp_path / "pack", np.float32, "r", shape=(7, 3))
    data = replace(source.data, audio=mapped, visual=mapped)
    here, elsewhere = (
        DeviceData(data, torch.device("cpu"), "float64"),
        DeviceData(data, torch.device("meta"), "float64"),
    )
    assert np.shares_memory(here.audio.numpy(), mapped)
    assert (elsewhere.audio.device.type, elsewhere.audio.dtype) == ("meta", torch.float64)
    monkeypatch.setattr("avzsl.contracts.mapped.SCATTERED", 2)
    audio, visual = here.averages(torch.tensor([6, 0, 3, 5, 1]))
    assert audio.dtype == torch.float64
    assert audio.tolist() == visual.tolist() == whole[[6, 0, 3, 5, 1]].tolist()
    monkeypatch.setattr(sampling, "in_pieces", lambda array: iter((array[:3], array[3:5], array[5:])))
    assert sampling._on_device(mapped, torch.device("cpu"), torch.float64).tolist() == whole.tolist()
    held = DeviceData(replace(source.data, audio=whole, visual=whole), torch.device("cpu"), "float64")
    assert held.averages(torch.tensor([6, 0]))[0].tolist() == whole[[6, 0]].tolist()


def test_phrases_are_embedded_once_as_the_classes_were(source, monkeypatch):
    asked: list[object] = []

    def embed(phrases: tuple[str, ...], made: dict[str, object]) -> np.ndarray:
        asked.append((phrases, made))
        return np.ones((len(phrases), 16), np.float32)

    monkeypatch.setattr(sampling, "embed_phrases", embed)
    fresh = DeviceData(source.data, torch.device("cpu"), "float64")
    data = BalancedSet(fresh, source.data.subset("train"), 0)
    for _ in range(2):
        assert data.phrases(["dog", "cat"]).tolist() == [[1.0] * 16] * 2
    assert data.phrases(["dog"]).dtype == torch.float64
    assert asked == [(("dog", "cat"), {"name": "synthetic"}), (("dog",), {"name": "synthetic"})]
