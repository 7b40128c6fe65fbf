"""Small parts of extraction that no clip of the other tests goes through: crops, limits and restricted pickles."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.contracts.errors import DataError
from extractors import arrays, packing
from extractors.arrays import read_npy
from extractors.base import ClipError
from extractors.imported import _steps
from extractors.packing import shards_of
from extractors.pretrained.picture import _middle
from extractors.seconds import _without
from extractors.selavi import picture
from extractors.selavi.networks import _normalised
from extractors.unpickle import _Restricted


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4), (5, 9), (4, 4)])
def test_the_centre_of_a_picture(height, width) -> None:
    pixels = np.arange(height * width * 3).reshape(height, width, 3)
    made = _middle(pixels, 3)
    top, left = (height - 3) // 2, (width - 3) // 2
    assert made.shape == (3, 3, 3)
    assert (
        made[0, 0].tolist() == pixels[top, left].tolist()
        and made[-1, -1].tolist() == pixels[top + 2, left + 2].tolist()
    )


def test_what_a_clip_may_lack() -> None:
    for status in ("no_audio_stream", "no_video_stream", "corrupt", "too_large"):
        faults: list[ClipError] = []
        error = ClipError(status, "x")
        if status == "too_large":
            with pytest.raises(ClipError):
                _without(error, faults, either=True)
        else:
            _without(error, faults, either=True)
            assert faults == [error]
        with pytest.raises(ClipError):
            _without(error, faults, either=False)


def test_pixels_become_what_the_networks_take() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(1, 2, 2, 2, 3) * 10
    assert _normalised(torch.from_numpy(frames)).numpy() == pytest.approx(picture.normalise(frames), abs=1e-6)
    ready = torch.rand(1, 2, 2, 2, 3)
    assert _normalised(ready) is ready


def test_an_array_larger_than_any_clip_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 3, 2), np.float32))
    monkeypatch.setattr(arrays, "LARGEST", 96)
    assert read_npy(path).shape == (4, 3, 2)
    monkeypatch.setattr(arrays, "LARGEST", 95)
    with pytest.raises(DataError, match="is larger than"):
        read_npy(path)


def test_steps_are_real_numbers() -> None:
    for kind in ("float64", "int16", "uint8", "bool"):
        assert _steps(np.ones(3, kind)).tolist() == [[1.0, 1.0, 1.0]]
    assert _steps(np.ones((2, 3))).shape == (2, 3)
    for kind in ("complex64", "U3", "datetime64[s]"):
        with pytest.raises(TypeError, match="they are"):
            _steps(np.zeros(3, kind))


def test_shards_are_taken_in_the_order_of_their_names(tmp_path) -> None:
    (tmp_path / "shards").mkdir()
    for name in ("0002", "0000", "0010", "0001"):
        (tmp_path / "shards" / f"{name}.safetensors").touch()
    assert [path.stem for path in shards_of(tmp_path)] == ["0000", "0001", "0002", "0010"]
    (tmp_path / "imported.safetensors").touch()
    assert shards_of(tmp_path) == [tmp_path / "imported.safetensors"]


def test_a_clip_without_a_step_is_named(monkeypatch) -> None:
    import pandas as pd

    table = pd.DataFrame({"clip_id": ["a", "b", "c"], "row": [0, 1, 2]})
    held = SimpleNamespace(values=np.zeros((5, 2)), lengths=np.array([3, 0, 2]))
    with pytest.raises(DataError, match="no audio step of clip 'b'"):
        packing._check_shard(Path("s"), {"audio": held}, {"clip_ids": ["a", "b", "c"]}, table)  # type: ignore[dict-item]
    none = SimpleNamespace(values=np.zeros((0, 0)), lengths=np.array([0, 0, 0]))
    packing._check_shard(Path("s"), {"audio": none}, {"clip_ids": ["a", "b", "c"]}, table)  # type: ignore[dict-item]
    with pytest.raises(DataError, match="not those of its table"):
        packing._check_shard(Path("s"), {}, {"clip_ids": ["a", "c", "b"]}, table)


def loaded(value: Any, tmp_path: Path) -> Any:
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps(value, protocol=4))
    with path.open("rb") as stream:
        return _Restricted(stream).load()


def test_arrays_come_out_of_a_pickle_as_they_went_in(tmp_path) -> None:
    value = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": [np.float64(2.5), "x", 3],
        "c": np.array([True, False]),
    }
    got = loaded(value, tmp_path)
    assert got["b"] == [2.5, "x", 3]
    for key in ("a", "c"):
        assert got[key].dtype == value[key].dtype and np.array_equal(got[key], value[key])


class Asking:
    """Asks for a call as it is loaded."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ((eval, ("1",)), "asks for builtins.eval"),
        ((np.zeros, (3,)), "asks for numpy"),
        ((np.empty(0).__reduce__()[0], (np.ndarray, (9,), b"b")), "an array without bytes"),
        ((np.empty(0).__reduce__()[0], (dict, (0,), b"b")), "asks for builtins.dict|an array without bytes"),
    ],
)
def test_what_a_pickle_may_not_ask_for(tmp_path, call, words) -> None:
    with pytest.raises(pickle.UnpicklingError, match=words):
        loaded(Asking(*call), tmp_path)


def test_a_tensor_holds_its_own_numbers(tmp_path) -> None:
    value = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    got = loaded(value, tmp_path)
    assert torch.equal(got, value) and not got.requires_grad
    storage = torch.storage.TypedStorage(wrap_storage=torch.zeros(6).untyped_storage(), dtype=torch.float32)
    rebuild = torch._utils._rebuild_tensor_v2
    with pytest.raises(pickle.UnpicklingError, match="more numbers than it holds"):
        loaded(Asking(rebuild, (storage, 0, (7,), (0,), False, {})), tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="in the place of a storage"):
        import io

        from torch.storage import _load_from_bytes

        stream = io.BytesIO()
        torch.save({"a": 1}, stream)
        loaded(Asking(_load_from_bytes, (stream.getvalue(),)), tmp_path)
