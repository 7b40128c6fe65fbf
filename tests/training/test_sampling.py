from __future__ import annotations

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
