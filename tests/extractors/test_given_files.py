"""What is read of files that others made, and parts that hand things on: small files, one fault each."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from avzsl.config.features import FeaturesConfig, WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.streams import read_streams
from extractors import released_features, weights, xlsa17
from extractors.feed import _SMALL, DeviceFeed
from extractors.openvino_network import OpenVinoNetwork, refuse_gpu
from extractors.released_features import _read, import_features, inside, place
from extractors.selavi.trunks import ChannelsLast, Trunks


def h5(path: Path, **held: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in held.items():
            file[name] = values
    return path


IDS = [b"one", b"two"]


def test_a_class_of_features(tmp_path: Path) -> None:
    for kind in ("float64", "int16", "uint8", "bool"):
        ids, data = _read(h5(tmp_path / "a.h5", data=np.eye(2, 3).astype(kind), video_urls=IDS))
        assert ids == ["one", "two"] and data.dtype == np.float32 and data.tolist() == [[1, 0, 0], [0, 1, 0]]
    ids, data = _read(h5(tmp_path / "a.h5", data=np.ones((1, 3)), video_urls=b"alone"))
    assert ids == ["alone"]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"data": np.ones((2, 3))}, "has no data set 'video_urls' of its own"), ({"video_urls": IDS}, "has no data set 'data' of its own"),
        ({"data": np.ones(2), "video_urls": IDS}, r"data has shape \(2,\) for 2"), ({"data": np.ones((3, 3)), "video_urls": IDS}, r"data has shape \(3, 3\) for 2"),
        ({"data": np.ones((2, 0)), "video_urls": IDS}, "not real numbers in columns"), ({"data": np.ones((2, 1), complex), "video_urls": IDS}, "not real numbers in columns"),
        ({"data": np.array([[1, np.nan], [1, 1]]), "video_urls": IDS}, "holds NaN or infinity"), ({"data": np.array([[1, 1], [np.inf, 1]]), "video_urls": IDS}, "holds NaN or infinity"),
    ],
)  # fmt: skip
def test_what_is_no_class_of_features(tmp_path: Path, held: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        _read(h5(tmp_path / "a.h5", **held))


def test_bounds_of_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert released_features.MAX_BYTES == 2**28
    h5(tmp_path / "f" / "a.h5", data=np.ones((2, 8)), video_urls=IDS)
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as out:
        out.write(tmp_path / "f" / "a.h5", "f/a.h5")
    size = (tmp_path / "f" / "a.h5").stat().st_size
    packed = zipfile.Path(tmp_path / "f.zip") / "f" / "a.h5"
    monkeypatch.setattr(released_features, "MAX_BYTES", size)
    assert _read(packed)[1].shape == (2, 8)
    monkeypatch.setattr(released_features, "MAX_BYTES", size - 1)
    with pytest.raises(DataError, match=f"unpacks to {size} bytes"):
        _read(packed)
    monkeypatch.setattr(released_features, "MAX_BYTES", 128)
    assert _read(tmp_path / "f" / "a.h5")[1].shape == (2, 8)
    monkeypatch.setattr(released_features, "MAX_BYTES", 127)
    with pytest.raises(DataError, match="'data' has 16 numbers"):
        _read(tmp_path / "f" / "a.h5")
    monkeypatch.setattr(released_features, "MAX_BYTES", size)
    monkeypatch.setattr("avzsl.contracts.sizes.SMALL", 1)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.h5", bytes(size))
    with pytest.raises(DataError, match=f"unpacks to {size} bytes"):
        _read(zipfile.Path(tmp_path / "bomb.zip") / "a.h5")


def test_released_folders(tmp_path: Path) -> None:
    root = tmp_path / "x" / "features" / "main_features"
    for split, name, ids in (("s2", "b", [b"3"]), ("s1", "b", [b"3", b"4"]), ("s1", "a", [b"2", b"1"])):
        for number, modality in enumerate(("audio", "video")):
            values = np.array([[int(i), 10 * number] for i in ids], np.float32)
            h5(root / modality / split / f"{name}.h5", data=values, video_urls=ids)
    out = tmp_path / "a.safetensors", tmp_path / "m.parquet"
    for folder in (tmp_path / "x", tmp_path / "x" / "features", root):
        table = import_features(folder, *out, listed=["5", "1"])
        assert table.to_numpy().tolist() == [
            ["2", "a", "s1"],
            ["1", "a", "s1"],
            ["3", "b", "s1"],
            ["4", "b", "s1"],
            ["3", "b", "s2"],
        ]
    assert import_features(tmp_path, *out, within="x").equals(table)
    streams, header = read_streams(out[0])
    assert (
        header["clip_ids"] == [*"2134"]
        and header["extractor"]["random_weights"] is False
        and header["extractor"]["windows"] == "as_released"
    )
    assert (
        streams["audio"].values.tolist() == [[2, 0], [1, 0], [3, 0], [4, 0]]
        and streams["visual"].values[:, 1].tolist() == [10] * 4
    )
    assert streams["audio"].times.tolist() == [[0, 0]] * 4
    import_features(tmp_path / "x", *out, extractor="mine")
    assert (
        read_streams(out[0])[1]["extractor"] | {"name": "mine", "windows": None, "weights": "mine features"}
        == read_streams(out[0])[1]["extractor"]
    )
    assert [entry.name for entry in inside(root / "audio")] == ["s1", "s2"]
    with pytest.raises(DataError, match="holds no folder 'y'"):
        place(tmp_path, "y")
    with pytest.raises(DataError, match="does not exist"):
        place(tmp_path / "y")
    for change, said in (
        (lambda: h5(root / "video" / "s2" / "b.h5", data=np.ones((1, 2)), video_urls=[b"3"]), "holds another vector for '3'"),
        (lambda: h5(root / "video" / "s2" / "b.h5", data=np.ones((1, 2)), video_urls=[b"9"]), "lists other clips"),
        ((root / "video" / "s2" / "b.h5").unlink, "/s2/b.h5: is there for one modality only"),
    ):  # fmt: skip
        change()
        with pytest.raises(DataError, match=said):
            import_features(tmp_path / "x", *out)


def test_images_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsa17, "read_images", lambda _: SimpleNamespace(ids=["a", "b"]))
    monkeypatch.setattr(xlsa17, "read_features", lambda _: np.array([[1.0, 2.0], [3.0, 4.0]]))
    (tmp_path / xlsa17.FEATURES).write_bytes(b"x")
    out = tmp_path / "a.safetensors", tmp_path / "m.parquet"
    table = xlsa17.import_images(tmp_path, "n", FeaturesConfig(released="x"), ["b", "c"], *out)
    assert table["status"].tolist() == ["ok", "no_media"] and table["visual_steps"].tolist() == [1, 0]
    streams, header = read_streams(out[0])
    assert streams["visual"].values.tolist() == [[3, 4]] and header["extractor"]["random_weights"] is False


def test_which_checksum_a_download_must_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(weights, "download", lambda url, cache, sha256: asked.append(sha256) or (tmp_path / "w", "d"))
    own, published = "a" * 64, {"w.pt": "b" * 64}
    for given, known in (
        (own, published),
        (None, published),
        (own, None),
        (None, None),
        (None, {"other.pt": "c" * 64}),
    ):
        weights.locate(WeightsConfig(url="https://host/w.pt", sha256=given), tmp_path, known)
    assert asked == [own, "b" * 64, own, None, None]


def test_small_arrays_stay_arrays_on_their_way_to_a_device() -> None:
    feed = DeviceFeed(torch.device("cpu"))
    given = {"small": np.arange(3), "large": np.zeros(_SMALL, np.uint8), "less": np.zeros(_SMALL - 1, np.uint8)}
    found = feed.upload(given)
    assert [type(found[name]) for name in ("small", "large", "less")] == [np.ndarray, torch.Tensor, np.ndarray]
    given["small"][0] = given["large"][0] = 9
    assert found["small"][0] == 0 and found["large"][0] == 0


def test_openvino_gets_one_item_at_a_time_and_no_gpu() -> None:
    network = object.__new__(OpenVinoNetwork)
    network._request = SimpleNamespace(infer=lambda given: {0: given[0] * 2, 1: given[0]})
    items = torch.arange(6.0).reshape(3, 2)
    assert network(items).tolist() == (2 * items).tolist()
    for backend, device in (("openvino", "cpu"), ("torch", "cuda"), ("torch", "cpu")):
        refuse_gpu(backend, device)
    with pytest.raises(ConfigError, match="openvino runs on a CPU"):
        refuse_gpu("openvino", "cuda")


def test_trunks_are_those_that_are_given() -> None:
    video, audio = nn.Linear(1, 1), nn.Linear(1, 2)
    trunks = Trunks(video, audio)
    assert trunks.video is video and trunks.audio is audio
    assert {name.rsplit(".", 1)[0] for name in trunks.state_dict()} == {"video_network.base", "audio_network.base"}
    seen = torch.arange(2 * 4 * 5 * 6 * 3.0).reshape(2, 4, 5, 6, 3)
    assert torch.equal(ChannelsLast(nn.Identity())(seen), torch.einsum("nthwc->ncthw", seen))
