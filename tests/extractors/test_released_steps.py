"""The class pickles of the released temporal features, from a folder and from the archive."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import read_streams
from avzsl.contracts.tables import read_table
from extractors.importing import import_any
from tests.starters.released_world import members, unpacked, zipped

FOLDER = "UCF/features/cls_features_non_averaged"
CLIP = "v_Archery_g01_c01"


def go(folder: Path, place: Path, within: str, listed: list[str]) -> Any:
    features = FeaturesConfig(released=str(place), within=within, audio_step_seconds=0.96, visual_step_seconds=0.64)
    import_any("ucf", "steps", features, listed, folder / "o.safetensors", folder / "o.parquet")
    return read_streams(folder / "o.safetensors"), read_table(folder / "o.parquet", FEATURES)


@pytest.mark.parametrize("packed", [True, False])
def test_every_step_with_its_time(tmp_path: Path, packed: bool) -> None:
    files = members(steps="cls_features_non_averaged")
    place = zipped(tmp_path / "u.zip", files) if packed else unpacked(tmp_path / "u", files)
    listed = ["v_Bowling_g02_c01", "v_Lost_g01_c01", CLIP]
    (streams, header), table = go(tmp_path, place, FOLDER, listed)
    assert header["clip_ids"] == [CLIP, "v_Bowling_g02_c01"]
    assert set(table["clip_id"]) == set(listed) and "not among the features" in table["reason"].dropna().item()
    sound = pickle.loads(files[f"{FOLDER}/audio/stage_1_train/Archery.pkl"])["features"][0]
    assert np.array_equal(streams["audio"].clip(0)[0], sound)
    assert streams["audio"].clip(0)[1].tolist() == [[0, 0.96], [0.96, 1.92]]
    assert streams["visual"].clip(1)[1][2].tolist() == [1.28, 1.92]


def test_a_name_with_its_extension(tmp_path: Path) -> None:
    files = members(steps="cls_features_non_averaged")
    for modality in ("audio", "video"):
        name = f"{FOLDER}/{modality}/stage_1_train/Archery.pkl"
        names = [f"{clip.decode()}.avi" for clip in pickle.loads(files[name])["video_names"]]
        files[name] = changed(files[name], video_names=names)
    (_, header), _ = go(tmp_path, unpacked(tmp_path / "u", files), FOLDER, [CLIP, "folder/v_Bowling_g02_c01.mp4"])
    assert set(header["clip_ids"]) == {CLIP, "folder/v_Bowling_g02_c01.mp4"}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import pathlib; pathlib.Path('executed').touch()",))


def changed(content: bytes, **changes: Any) -> bytes:
    return pickle.dumps(pickle.loads(content) | changes)


@pytest.mark.parametrize(
    ("modality", "stage", "changes", "said"),
    [
        ("audio", "stage_1_train", {"features": [Evil()]}, "nothing of it was executed"),
        ("audio", "stage_1_train", {"video_names": ["a"]}, "features of 6 clips and 1 names"),
        ("audio", "stage_1_train", {"video_names": list("abcdef")}, "lists other clips"),
        ("audio", "stage_2_train", {"features": [np.zeros((2, 512))] * 8}, "holds other features of 'v_Archery_g01_c01'"),
        ("video", "stage_1_train", {"features": 3}, "no arrays"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modality: str, stage: str, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files = members(steps="cls_features_non_averaged")
    name = f"{FOLDER}/{modality}/{stage}/Archery.pkl"
    files[name] = changed(files[name], **changes)
    with pytest.raises(DataError, match=said):
        go(tmp_path, unpacked(tmp_path / "u", files), FOLDER, [CLIP])
    assert not (tmp_path / "executed").exists()


def test_a_class_of_one_modality_and_a_foreign_pickle(tmp_path: Path) -> None:
    files = members(steps="cls_features_non_averaged")
    place = unpacked(tmp_path / "u", files)
    path = place / FOLDER / "video/stage_1_train/Archery.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="no class of temporal features"):
        go(tmp_path, place, FOLDER, [CLIP])
    path.unlink()
    with pytest.raises(DataError, match="one modality only"):
        go(tmp_path, place, FOLDER, [CLIP])
