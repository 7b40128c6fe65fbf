"""The audio network is trained on training clips of seen classes and on nothing else; killed, it goes on to the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.records import read_record
from extractors.i3d_audiocnn import Training, training
from extractors.i3d_audiocnn.embedding import load_audio_network
from extractors.i3d_audiocnn.spectrograms import Spectrograms
from extractors.i3d_audiocnn.training import bands, class_accuracy, crop, loss_of, mask, train_audio_network
from extractors.i3d_audiocnn.training_clips import Heard, choose_clips

torch.set_num_threads(1)
WHERE = Path("split.parquet")
TINY = Training(epochs=2, batch_size=4, crop_frames=128, patience=2)
SUBSETS = ("train", "train", "train", "val_seen", "test_seen")


def world() -> dict[str, pd.DataFrame]:
    """Three seen classes of five clips, and two unseen ones of three."""
    rows = [(f"{c}{i}", c, subset) for c in "abc" for i, subset in enumerate(SUBSETS)]
    rows += [(f"{c}{i}", c, role) for c, role in (("d", "val_unseen"), ("e", "test_unseen")) for i in range(3)]
    split = pd.DataFrame(rows, columns=["clip_id", "class_name", "subset"])
    classes = pd.DataFrame([(c, "train") for c in "abc"] + [("d", "val_unseen"), ("e", "test_unseen")], columns=["class_name", "role"])  # fmt: skip
    catalog = split[["clip_id", "class_name"]].assign(source_id=split["clip_id"])
    media = pd.DataFrame({"clip_id": split["clip_id"], "status": "ok", "path": split["clip_id"] + ".mp4", "sha256": split["clip_id"]})  # fmt: skip
    return {"split": split, "classes": classes, "catalog": catalog, "media": media}


def chosen(tables: dict[str, pd.DataFrame], disjoint: bool = False) -> Heard:
    return choose_clips(
        tables["split"], tables["classes"], tables["catalog"], [tables["media"]], where=WHERE, disjoint=disjoint, held_out=0.2
    )  # fmt: skip


def tones(clips: tuple, folder: Path, threads: int) -> Spectrograms:
    """Stand for reading: a class has its own loud bands."""
    made = Spectrograms()
    for clip in clips:
        rng = np.random.default_rng(int.from_bytes(clip.clip_id.encode(), "little"))
        frames = rng.normal(-60, 5, (140, 128))
        frames[:, 20 * "abcde".index(clip.clip_id[0]) :][:, :16] += 40
        made.frames[clip.clip_id] = frames.astype(np.float16)
    return made


def train(tables: dict[str, pd.DataFrame], folder: Path, settings: Training = TINY) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    train_audio_network(
        chosen(tables), settings, folder / "a.safetensors", folder / "a.json", device="cpu", threads=1, split_hash="s"
    )
    return sha256_file(folder / "a.safetensors")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:
        monkeypatch.setattr(training, "read_spectrograms", tones)


def test_unseen_clips_change_no_byte_of_the_weights(tmp_path: Path) -> None:
    first = train(world(), tmp_path / "first")
    permuted = world()
    unseen = permuted["split"]["subset"].str.endswith("unseen")
    for name in ("split", "catalog"):
        permuted[name].loc[unseen, "class_name"] = permuted[name].loc[unseen, "class_name"].to_numpy()[::-1].copy()
    assert (permuted["split"]["class_name"] != world()["split"]["class_name"]).any()
    assert train(permuted, tmp_path / "permuted") == first
    removed = {name: table[~table["class_name"].isin(["d", "e"])] for name, table in world().items() if name != "media"}
    removed["media"] = world()["media"][~unseen]
    assert train(removed, tmp_path / "removed") == first
    held = world()  # nor do clips of seen classes that are not trained on
    kept = held["split"]["subset"].isin(["train", "val_unseen"])
    held["split"] = held["split"][kept]
    assert train(held, tmp_path / "held") == first
    other = world()  # while one training clip less is another network
    other["media"] = other["media"].iloc[1:]
    assert train(other, tmp_path / "other") != first


def test_a_split_that_would_feed_unseen_classes_is_refused() -> None:
    tables = world()
    tables["split"].loc[tables["split"]["class_name"] == "e", "subset"] = "train"
    with pytest.raises(
        DataError, match=r"split\.parquet.*'e0' of the class 'e', which is not seen in stage 1 \(test_unseen\)"
    ):
        chosen(tables)
    for role in ("val_unseen", "excluded"):
        tables = world()
        tables["classes"].loc[tables["classes"]["class_name"] == "b", "role"] = role
        with pytest.raises(DataError, match=f"class 'b', which is not seen in stage 1 .{role}"):
            chosen(tables)


def test_a_split_that_hides_an_unseen_class_behind_another_name_is_refused() -> None:
    tables = world()
    tables["split"].loc[tables["split"]["clip_id"] == "e1", ["class_name", "subset"]] = ["a", "train"]
    with pytest.raises(DataError, match="class of 'e1' that is not the catalogue's"):
        chosen(tables)


def test_a_source_that_is_tested_is_refused_where_sources_are_apart() -> None:
    tables = world()
    tables["catalog"].loc[tables["catalog"]["clip_id"].isin(["a0", "a4"]), "source_id"] = "one video"
    assert chosen(tables).fit
    with pytest.raises(DataError, match="claims to keep sources apart, but 'one video' is trained on and tested"):
        chosen(tables, disjoint=True)


def test_only_training_clips_are_heard() -> None:
    heard = chosen(world())
    assert {c.clip_id for c in (*heard.fit, *heard.held_out)} == {f"{c}{i}" for c in "abc" for i in range(3)}
    assert len(heard.held_out) == 2  # a fifth of nine sources
    assert {c.clip_id for c in heard.shown} == {"a3", "b3", "c3"}
    tables = world()
    tables["media"].loc[tables["media"]["clip_id"].str.contains("[bc]"), "status"] = "failed"
    with pytest.raises(DataError, match="fewer than two seen classes"):
        chosen(tables)


class KilledError(Exception):
    pass


def test_killed_it_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TINY.model_copy(update={"epochs": 3, "patience": 3})
    whole = train(world(), tmp_path / "whole", settings)
    real, begun = training._epoch, []

    def dies(state: training.State, *rest: object) -> float:
        begun.append(state.epoch)
        if len(begun) == 2:
            raise KilledError
        return real(state, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_epoch", dies)
    with pytest.raises(KilledError):
        train(world(), tmp_path / "cut", settings)
    assert not (tmp_path / "cut/a.safetensors").exists()
    assert train(world(), tmp_path / "cut", settings) == whole
    assert begun == [0, 1, 1, 2]
    assert not (tmp_path / "cut/a.work").exists()


def test_seeds_and_settings_make_other_weights(tmp_path: Path) -> None:
    first = train(world(), tmp_path / "a")
    assert train(world(), tmp_path / "b") == first
    assert train(world(), tmp_path / "c", TINY.model_copy(update={"seed": 1})) != first
    assert train(world(), tmp_path / "d", TINY.model_copy(update={"loss": "bce"})) != first


def test_losses() -> None:
    logits = torch.tensor([[[2.0, -1.0], [0.0, 1.0]]])  # one clip, two segments, two classes
    label = torch.tensor([0])
    mean = [1.0, 0.0]
    want = -math.log(math.exp(mean[0]) / (math.exp(mean[0]) + math.exp(mean[1])))
    assert float(loss_of(logits, label, "softmax")) == pytest.approx(want)
    right, wrong = ((1 / (1 + math.exp(-a)) + 1 / (1 + math.exp(-b))) / 2 for a, b in ((2.0, 0.0), (-1.0, 1.0)))
    assert float(loss_of(logits, label, "bce")) == pytest.approx(-(math.log(right) + math.log(1 - wrong)) / 2)


@pytest.mark.slow
def test_it_learns_and_the_record_says_how(tmp_path: Path) -> None:
    settings = Training(epochs=30, batch_size=6, crop_frames=128, patience=30)
    digest = train(world(), tmp_path, settings)
    record = read_record(tmp_path / "a.json")
    assert record["weights"] == digest
    assert record["classes"] == ["a", "b", "c"]
    assert record["clips"] == {"fit": 7, "held_out": 2, "val_seen": 3}
    assert len(record["curve"]) == 30
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"] / 2
    assert np.trace(np.asarray(record["confusion"])) == 3
    network, name, is_random = load_audio_network(WeightsConfig(path=str(tmp_path / "a.safetensors")), tmp_path)
    assert name == f"sha256:{digest}"
    assert not is_random
    assert -61 < float(network.band_mean[120]) < -59


def test_bands_crops_and_stripes() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(-50, 10, (n, 128)).astype(np.float32) for n in (130, 200)]
    mean, deviation = bands(clips)
    np.testing.assert_allclose(mean, np.concatenate(clips).mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation, np.concatenate(clips).std(0), rtol=1e-5)
    assert bands([np.zeros((5, 128))])[1].unique().tolist() == [1.0]
    assert crop(clips[1], 150, rng).shape == (150, 128)
    np.testing.assert_array_equal(crop(clips[0], 150, rng)[130:], clips[0][:20])
    batch = torch.ones(2, 344, 128)
    batch[:, ::2] = 0
    before = batch.clone()
    mask(batch, rng)
    changed = (batch != before).float()
    assert 0 < changed.mean() < 0.4
    assert class_accuracy(np.array([[3, 1], [0, 0]])) == 0.75


def test_real_clips_are_read_once_and_unreadable_ones_named(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    from extractors.i3d_audiocnn.spectrograms import read_spectrograms
    from extractors.i3d_audiocnn.training_clips import HeardClip

    clips = [
        HeardClip("a", "x", "a", make_clip(seconds=2.0), "1"),
        HeardClip("b", "x", "b", make_clip(audio=False), "2"),
    ]
    found = read_spectrograms(clips, tmp_path, 1)
    assert found.frames["a"].shape[1] == 128
    assert found.frames["a"].dtype == np.float16
    assert list(found.failed) == ["b"]
    assert found.failed["b"].startswith("no_audio_stream")
    again = read_spectrograms([HeardClip("a", "x", "a", Path("gone.mp4"), "1"), clips[1]], tmp_path, 1)
    np.testing.assert_array_equal(again.frames["a"], found.frames["a"])
