"""Features of one's own: every documented layout gives the same shard, and each fault is one sentence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.streams import read_streams
from extractors import own
from extractors.base import ClipError
from extractors.importing import import_any
from extractors.own import import_own
from extractors.packing import pack, pack_steps
from extractors.steps_out import export_steps
from extractors.temporal import export_temporal

IDS = ["one/a clip.mp4", "b", "-c"]
RNG = np.random.default_rng(0)
STEPS = {"audio": [2, 1, 4], "visual": [3, 5, 1]}
VALUES = {
    name: [RNG.random((n, dim), dtype=np.float32) for n in STEPS[name]] for name, dim in (("audio", 6), ("visual", 8))
}


def listed(folder: Path, ids: list[str] = IDS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"clip_id": ids, "class_name": "x"}).to_csv(folder / "clips.csv", index=False)


def npy(folder: Path) -> None:
    for name, clips in VALUES.items():
        for clip_id, values in zip(IDS, clips, strict=True):
            path = folder / name / f"{clip_id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)


def npz(folder: Path) -> None:
    for place, clip_id in enumerate(IDS):
        path = folder / f"{clip_id}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, audio=VALUES["audio"][place], visual=VALUES["visual"][place])


def flat() -> dict[str, np.ndarray]:
    arrays = {name: np.concatenate(clips) for name, clips in VALUES.items()}
    return arrays | {f"{name}_offsets": np.cumsum([0, *STEPS[name]]) for name in VALUES}


def by_clip() -> dict[str, np.ndarray]:
    return {f"{clip_id}/{name}": VALUES[name][place] for place, clip_id in enumerate(IDS) for name in VALUES}


def hdf5(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    with h5py.File(folder / "features.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values


LAYOUTS: dict[str, Callable[[Path], object]] = {
    "npy": npy,
    "npz": npz,
    "flat safetensors": lambda folder: save_file(flat(), folder / "features.safetensors"),
    "safetensors by clip": lambda folder: save_file(by_clip(), folder / "features.safetensors"),
    "flat h5": lambda folder: hdf5(folder, flat()),
    "h5 by clip": lambda folder: hdf5(folder, by_clip()),
    "flat npz": lambda folder: np.savez(folder / "features.npz", **flat()),
}


def go(folder: Path, ids: list[str] = IDS, **options: Any) -> tuple[pd.DataFrame, Any, dict[str, Any]]:
    features = FeaturesConfig.model_validate({"arrays": str(folder)} | options)
    table = import_own(folder, "mine", features, ids, folder / "out.safetensors", folder / "out.parquet")
    return table, *read_streams(folder / "out.safetensors")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same(tmp_path: Path, layout: str) -> None:
    listed(tmp_path)
    LAYOUTS[layout](tmp_path)
    table, streams, header = go(tmp_path, audio_step_seconds=0.96)
    assert table["status"].eq("ok").all()
    assert table["audio_steps"].tolist() == STEPS["audio"]
    assert header["clip_ids"] == IDS
    assert header["extractor"]["name"] == "mine"
    for name, clips in VALUES.items():
        for place, values in enumerate(clips):
            assert np.array_equal(streams[name].clip(place)[0], values)
    assert streams["audio"].clip(2)[1].tolist() == [[0, 0.96], [0.96, 1.92], [1.92, 0.96 * 3], [0.96 * 3, 3.84]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("only", ["audio", "visual"])
def test_features_of_one_modality(tmp_path: Path, layout: str, only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other has no column and no step, as an extractor without it gives; a clip of the set without any is left out."""
    listed(tmp_path, [*IDS, "lost"])
    monkeypatch.setitem(globals(), "VALUES", {only: VALUES[only]})
    if layout.startswith("flat"):
        listed(tmp_path)
    if layout == "npz":
        for clip_id, values in zip(IDS, VALUES[only], strict=True):
            (tmp_path / clip_id).parent.mkdir(parents=True, exist_ok=True)
            np.savez(tmp_path / f"{clip_id}.npz", **{only: values})
    else:
        LAYOUTS[layout](tmp_path)
    table, streams, _ = go(tmp_path, ids=[*IDS, "lost"])
    assert table["status"].tolist() == ["ok", "ok", "ok", "no_media"]
    other = "visual" if only == "audio" else "audio"
    assert table[f"{only}_steps"].tolist() == [*STEPS[only], 0]
    assert table[f"{other}_steps"].tolist() == [0] * 4
    assert streams[other].values.shape == (0, 0)
    assert np.array_equal(streams[only].values, np.concatenate(VALUES[only]))
    packed = (tmp_path / "p.safetensors", tmp_path / "p.parquet")
    pack([(tmp_path / "out.safetensors", tmp_path / "out.parquet")], *packed)
    assert read_arrays(packed[0])[0][other].shape == (3, 0)
    pack_steps([tmp_path / "out.safetensors"], packed[0], tmp_path / "steps.safetensors")
    assert read_streams(tmp_path / "steps.safetensors")[0][other].lengths.tolist() == [0, 0, 0]


def test_averages_are_one_step(tmp_path: Path) -> None:
    listed(tmp_path)
    averages = {name: np.stack([v.mean(0) for v in clips]) for name, clips in VALUES.items()}
    save_file(averages, tmp_path / "features.safetensors")
    table, streams, _ = go(tmp_path, ids=[IDS[1], IDS[0], "not there"])
    assert table["status"].tolist() == ["ok", "ok", "no_media"]
    assert table["reason"][2] == "it is not in clips.csv"
    assert np.array_equal(streams["visual"].values, averages["visual"][[1, 0]])
    assert table["audio_steps"].tolist() == [1, 1, 0]


def test_times_and_sixteen_bits(tmp_path: Path) -> None:
    listed(tmp_path)
    npz(tmp_path)
    times = np.array([[0, 1.5], [1.5, 3]])
    np.savez(tmp_path / "one/a clip.mp4.npz", audio=VALUES["audio"][0], audio_times=times, visual=VALUES["visual"][0])
    np.savez(tmp_path / "b.npz", audio=VALUES["audio"][1], visual=VALUES["visual"][1], visual_times=np.zeros((2, 2)))
    backwards = {"audio": VALUES["audio"][0], "audio_times": times[::-1], "visual": VALUES["visual"][2]}
    np.savez(tmp_path / "-c.npz", **backwards)
    table, streams, header = go(tmp_path, dtype="float16")
    assert header["dtype"] == streams["audio"].values.dtype.name == "float16"
    assert np.array_equal(streams["audio"].clip(0)[1], times)
    assert table["status"].tolist() == ["ok", "corrupt", "unsupported"]
    assert "visual_times has shape (2, 2), not (5, 2)" in table["reason"][1]
    assert table["reason"][2] == "its steps of sound go back in time"


def test_faults_of_a_clip_cost_the_clip(tmp_path: Path) -> None:
    listed(tmp_path, [*IDS, "../up", "/etc/passwd", "gone", "text", "none", "cube"])
    npy(tmp_path)
    bad = VALUES["audio"][1].copy()
    bad[0, 0] = np.nan
    np.save(tmp_path / "audio/b.npy", bad)
    for modality in ("audio", "visual"):
        (tmp_path / modality / "text.npy").write_bytes(b"no array")
        np.save(tmp_path / modality / "none.npy", np.zeros((0, 6 if modality == "audio" else 8)))
        np.save(tmp_path / modality / "cube.npy", np.zeros((1, 2, 3)))
    table, streams, _ = go(tmp_path, ids=[*IDS, "../up", "/etc/passwd", "gone", "text", "none", "cube"])
    table = table.set_index("clip_id")
    assert len(streams["audio"].offsets) == 3
    assert table["status"].to_dict() == {
        IDS[0]: "ok", "b": "corrupt", "-c": "ok", "../up": "no_media", "/etc/passwd": "no_media", "gone": "no_media", "text": "corrupt",
        "none": "too_short", "cube": "corrupt",
    }  # fmt: skip
    assert table["reason"]["b"] == "the audio features hold NaN or infinity"
    assert table["reason"]["../up"] == "its id leads out of the folder of features"
    assert table["reason"]["gone"] == "there is no audio/gone.npy and no gone.npz"


def test_faults_of_the_set_are_one_sentence(tmp_path: Path) -> None:
    def expect(message: str) -> None:
        with pytest.raises(DataError, match=message):
            go(tmp_path)

    expect("clips.csv: does not exist; it names the clips")
    pd.DataFrame({"clip": IDS}).to_csv(tmp_path / "clips.csv")
    expect("has no column clip_id")
    listed(tmp_path, [*IDS, "b"])
    expect("names clip 'b' twice")
    listed(tmp_path)
    expect("holds no features")
    npy(tmp_path)
    np.save(tmp_path / "visual/b.npy", np.ones((2, 9)))
    expect("the visual features of clip 'b' have 9 columns, those of 'one/a clip.mp4' 8")
    (tmp_path / "features.h5").write_bytes(b"no")
    expect("features.h5: is not a readable file of arrays")
    hdf5(tmp_path, flat() | {"audio_offsets": np.array([0, 2, 9, 7])})
    expect(r"audio has shape \(7, 6\) and 4 offsets for the 3 clips")
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file.create_dataset("audio", (3, 6), "f4", external=[("/etc/passwd", 0, 72)])
    expect("points to other files")
    hdf5(tmp_path, {"else": np.zeros(3)})
    expect("has usable features of none of the 3 listed clips; of the first, 'one/a clip.mp4': features.h5 holds no")
    with pytest.raises(ValueError, match="not both"):
        FeaturesConfig(arrays="a", released="b")


def test_published_temporal_features(tmp_path: Path) -> None:
    """Lists of steps, over two pickles, found by the name of the file without its extension."""
    content = [
        VALUES["visual"],
        [0, 1, 1],
        [(255 * v).astype(np.uint8) for v in VALUES["audio"]],
        ["a clip", "b", "-c"],
    ]
    for number, part in enumerate((slice(0, 2), slice(2, 3))):
        (tmp_path / f"part{number}.pickle").write_bytes(pickle.dumps([list(x[part]) for x in content]))
    features = FeaturesConfig(released=str(tmp_path / "{dataset}"), audio_step_seconds=0.96, visual_step_seconds=0.64)
    (tmp_path / "x").symlink_to(tmp_path)
    import_any("x", "tcaf", features, [*IDS, "lost"], tmp_path / "o.safetensors", tmp_path / "o.parquet")
    streams, header = read_streams(tmp_path / "o.safetensors")
    assert header["clip_ids"] == IDS
    for place in range(3):
        assert np.array_equal(streams["visual"].clip(place)[0], VALUES["visual"][place])
        assert np.array_equal(streams["audio"].clip(place)[0], content[2][place])
    assert streams["visual"].clip(0)[1][2].tolist() == [1.28, 1.92]
    # And out again, as the released loader reads it.
    rows = {clip: place for place, clip in enumerate(header["clip_ids"])}
    clips = pd.DataFrame({"clip_id": [*IDS, "lost"], "class_name": ["p", "q", "q", "q"]})
    assert export_temporal(streams, rows, clips, {"p": 0, "q": 1}, tmp_path / "out.pickle") == 3
    video, labels, audio, names = pickle.loads((tmp_path / "out.pickle").read_bytes())
    assert names == IDS
    assert labels.tolist() == [0, 1, 1]
    assert np.array_equal(video[1], VALUES["visual"][1])
    assert np.array_equal(audio[2], content[2][2])
    features = FeaturesConfig(released=str(tmp_path / "out.pickle"))
    import_any("x", "tcaf", features, IDS, tmp_path / "p.safetensors", tmp_path / "p.parquet")
    assert np.array_equal(read_streams(tmp_path / "p.safetensors")[0]["visual"].values, streams["visual"].values)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import pathlib; pathlib.Path('executed').touch()",))


def test_temporal_pickles_never_execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.pickle").write_bytes(pickle.dumps([[Evil()], [0], [np.zeros((2, 3))], ["a"]]))
    with pytest.raises(DataError, match="nothing of it was executed"):
        import_any("x", "t", FeaturesConfig(released=str(tmp_path)), ["a"], tmp_path / "o", tmp_path / "p")
    assert not (tmp_path / "executed").exists()


def test_out_and_in_again(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    listed(folder)
    npy(folder)
    go(folder)
    packed = (tmp_path / "p.safetensors", tmp_path / "p.parquet")
    pack([(folder / "out.safetensors", folder / "out.parquet")], *packed)
    clips = pd.DataFrame(
        {"clip_id": IDS, "class_name": ["p", "q", "q"], "subset": ["train", "val_seen", "test_unseen"]}
    )
    counts = export_steps([folder / "out.safetensors"], packed[0], clips, tmp_path / "out", pickled=False)
    assert counts == {"test_unseen": 1, "train": 1, "val_seen": 1}
    _, again, _ = go(tmp_path / "out")
    _, first, _ = go(folder)
    for name, stream in first.items():
        assert np.array_equal(again[name].values, stream.values)
        assert np.array_equal(again[name].times, stream.times)
    counts = export_steps([folder / "out.safetensors"], packed[0], clips, tmp_path / "pickles", pickled=True)
    assert counts["stage_2_train"] == 2
    features = FeaturesConfig(released=str(tmp_path / "pickles"))
    import_any("x", "t", features, IDS, tmp_path / "q.safetensors", tmp_path / "q.parquet")
    assert np.array_equal(read_streams(tmp_path / "q.safetensors")[0]["audio"].values, first["audio"].values)


def test_an_id_that_names_no_file_or_leads_out_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", audio=np.zeros(3), visual=np.zeros(3))
    np.savez(tmp_path / ".npz", audio=np.zeros(3), visual=np.zeros(3))
    read = own._of_files(tmp_path)
    for clip_id in ("", ".", "../a", "/a", "b/../a", "a\0"):
        with pytest.raises(ClipError, match="leads out of the folder"):
            read(clip_id, "audio")
