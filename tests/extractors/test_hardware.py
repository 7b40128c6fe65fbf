"""Decoding by a GPU: the same pictures, what it does not take goes to the CPU, and why is in the manifest."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import torch

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.media import child, hardware
from avzsl.media.display import Reformat
from avzsl.media.errors import MediaError
from avzsl.media.findings import Findings
from avzsl.media.hardware import HardwareError
from avzsl.media.opening import open_container
from avzsl.media.pictures import decode_video, shown_pictures
from extractors import extract_shard, shards
from extractors.base import Window
from extractors.pool import DecodePool, End, Hardware

Make = Callable[..., Path]


def nvdec(**options: Any) -> FeaturesConfig:
    return FeaturesConfig.model_validate({"extractor": "plugin.nvdec", "weights": {"random_seed": 0}} | options)


def moving(moment: float) -> np.ndarray:
    """A picture with sharp colours that move: what conversions differ in."""
    x, y = np.meshgrid(np.arange(161), np.arange(121))
    red = (((x + int(60 * moment)) // 5 + y // 7) % 2 * 255).astype(np.uint8)
    return np.stack([red, 255 - red, np.roll(red, 3, 1)], -1)[:120, :160]


@pytest.fixture
def files(make_clip: Make, tmp_path: Path) -> dict[str, Path]:
    """A clip by what happens to it; `plain` twice, for the two decoders."""
    whole = make_clip(seconds=3.1, size=(160, 120), picture=moving)
    made = {}
    for name in ("plain", "stops", "crash", "deep", "slow"):
        made[name] = tmp_path / f"{name}.mp4"
        made[name].write_bytes(whole.read_bytes())
    made["mpeg4"] = make_clip("mpeg4.mp4", seconds=2.1, size=(160, 120), picture=moving, codec="mpeg4", options={})
    made["text"] = tmp_path / "text.mp4"
    made["text"].write_text("no film")
    return made


def read(paths: list[Path], settings: FeaturesConfig, hardware: Hardware | None) -> list[tuple[list[Window], End]]:
    found = []
    with DecodePool(settings, 2, hardware=hardware) as pool:
        for items in pool.clips(paths):
            *windows, end = items
            assert isinstance(end, End)
            found.append((windows, end))
    return found


@pytest.mark.usefixtures("plugins")
def test_the_same_windows_and_the_reason_for_what_the_gpu_does_not_take(files: dict[str, Path]) -> None:
    names = list(files)
    expected = read(list(files.values()), nvdec(), None)
    for processes in (1, 2):  # a mix of both decoders, and the GPU's alone
        found = dict(zip(names, read(list(files.values()), nvdec(), Hardware(0, processes)), strict=True))
        for name, (windows, end) in zip(names, expected, strict=True):
            ours, theirs = found[name]
            assert (theirs.status, theirs.info.columns()) == (end.status, end.info.columns()), name
            assert len(ours) == len(windows), name
            for one, other in zip(ours, windows, strict=True):
                assert (one.start, one.end) == (other.start, other.end)
                assert all(np.array_equal(one.arrays()[key], value) for key, value in other.arrays().items())
    # All processes were the GPU's until one died.
    notes = {name: end.reason or "" for name, (_, end) in found.items()}
    assert found["plain"][1].info.decoder == "cuda"
    assert notes["plain"] == ""
    for name, why in {
        "stops": "decoded by the CPU: the GPU's decoder stopped (made up)",
        "crash": "decoded by the CPU: under the GPU's decoder the decoding process died on it (SIGSEGV)",
        "deep": "decoded by the CPU: its pictures are p010le; a GPU decodes 8 bits in 4:2:0 here",
        "slow": "decoded by the CPU: its h264 is not opened by the GPU's decoder",
        "mpeg4": "decoded by the CPU: a GPU's decoder may round mpeg4 in another way, or has none for it",
    }.items():
        if found[name][1].info.refused:  # else a process that was on the CPU by then read it
            assert notes[name] == why
        assert found[name][1].info.decoder == "cpu"
    assert notes["text"].startswith("not a readable media file")


@pytest.mark.usefixtures("plugins")
def test_a_shard_says_what_decoded_it(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shards, "choose_decoder", lambda decoder, device, threads: Hardware(0, threads))
    media = pd.DataFrame(
        [
            {"clip_id": name, "shard": 0, "status": "ok", "path": str(files[name])} for name in ("plain", "mpeg4")
        ]
    )  # fmt: skip
    made = []
    for decoder in ("cpu", "cuda"):
        out = tmp_path / decoder
        with caplog.at_level("INFO"):
            table = extract_shard(
                media, nvdec(), out / "s.safetensors", out / "s.parquet", cache=tmp_path, device="cpu", decoder=decoder
            )
        made.append((table, *read_arrays(out / "s.safetensors")))
    (_, plain, _), (table, arrays, header) = made
    assert header["decoded"] == {"cuda": 1, "cpu": 1}
    assert table["reason"].tolist() == [
        None, "decoded by the CPU: a GPU's decoder may round mpeg4 in another way, or has none for it",
    ]  # fmt: skip
    assert "1 of 2 clips were decoded by the CPU: a GPU's decoder may round mpeg4" in caplog.text
    assert all(np.array_equal(arrays[key], value) for key, value in plain.items())


@pytest.mark.usefixtures("plugins")
def test_a_card_without_a_context(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVDEC", "none")
    [(windows, end)] = read([files["plain"]], nvdec(), Hardware(3, 2))
    assert (len(windows), end.status) == (3, "ok")
    assert end.reason == "decoded by the CPU: GPU 3 gives no context to decode in (made up)"


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(160, 120), (86, 50)])
def test_pictures_of_a_gpu_have_the_cpus_values(
    full: bool, size: tuple[int, int], make_clip: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU gives NV12; swscale makes other RGB of it than of planes, by more than 2 levels: so planes it becomes."""
    monkeypatch.setattr(hardware._State, "on", True)
    tags = {"color_range": 2 if full else 1, "colorspace": 1}
    path = make_clip(seconds=0.3, size=size, picture=lambda t: moving(t)[: size[1], : size[0]], tags=tags)
    reformat = Reformat()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            y, u, v = (np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1)[:, : p.width] for p in frame.planes)
            whole = np.concatenate([y, np.stack([u, v], -1).reshape(len(u), -1)])
            given = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="nv12")
            given.color_range, given.colorspace, given.pts = frame.color_range, frame.colorspace, frame.pts
            given.time_base = frame.time_base
            ours = hardware.as_decoded(given)
            assert (ours.pts, ours.time, ours.format.name) == (frame.pts, frame.time, frame.format.name)
            assert np.array_equal(reformat(ours), reformat(frame))
            worst = np.abs(reformat(given).astype(int) - reformat(frame)).max()
    assert worst > 2, "without `as_decoded` the pictures differ"


def test_without_a_driver(make_clip: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real calls, on a machine that has no GPU."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    path = make_clip(seconds=1.2)
    with pytest.raises(HardwareError, match="GPU 0 gives no context to decode in"):
        hardware.start(0)
    monkeypatch.setattr(hardware._State, "accel", hardware.HWAccel("cuda", 0, allow_software_fallback=False))
    with (
        hardware.reading(),
        pytest.raises(HardwareError, match="does not open it"),
        open_container(path, pictures=True),
    ):
        pass
    with hardware.reading(), open_container(path) as container, pytest.raises(HardwareError, match="not opened by"):
        next(decode_video(container, container.streams.video[0], strict=False))
    assert hardware.trouble() is None or "libnvcuvid" in str(hardware.trouble())
    assert not hardware.active()


def test_damage_goes_to_the_cpu(make_clip: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(make_clip(seconds=2.2, size=(160, 120), picture=moving).read_bytes())
    middle = data.index(b"mdat") + 4000
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)

    def pictures() -> int:
        with open_container(path) as container:
            findings = Findings()
            count = sum(1 for _ in shown_pictures(container, container.streams.video[0], findings))
            assert findings.lost_frames
            return count

    assert pictures()
    monkeypatch.setattr(hardware, "accelerated", lambda stream: True)
    whole = hardware.as_decoded

    def as_decoded(frame: Any) -> Any:
        return whole(frame if frame.is_corrupt else frame.reformat(format="nv12"))

    monkeypatch.setattr(hardware, "as_decoded", as_decoded)
    with hardware.reading(), pytest.raises(HardwareError, match=r"stopped \(|a picture is damaged"):
        pictures()
    assert not issubclass(HardwareError, MediaError | OSError | ValueError)


def test_what_the_driver_lacks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(shards, "kind_of", lambda device: "cuda")
    monkeypatch.setattr(shards, "current_card", lambda: 2)
    assert shards.choose_decoder("cpu", "cuda", 16) is None
    assert not caplog.text
    assert shards.choose_decoder("cuda", "cuda", 16) is None
    assert (
        "decoder: cuda is not to be had (the driver has no decoder (libnvcuvid.so.1 is not found); in a" in caplog.text
    )
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["vaapi"])
    assert "install PyAV's own wheel" in str(hardware.trouble())
    monkeypatch.undo()
    assert "cuda" in hardware.hwdevices_available(), "the pinned PyAV has it"
    monkeypatch.setattr(ctypes, "CDLL", lambda name: name)
    monkeypatch.setattr(shards, "kind_of", lambda device: "cuda")
    monkeypatch.setattr(shards, "current_card", lambda: 2)
    assert shards.choose_decoder("cuda", "cuda", 16) == Hardware(2, 16)
    assert shards.choose_decoder("auto", "cuda", 24) == Hardware(2, shards.MOST_ON_HARDWARE)
    assert shards.choose_decoder("auto", "cuda", 3) == Hardware(2, 2)
    monkeypatch.setattr(shards, "kind_of", lambda device: "cpu")
    assert shards.choose_decoder("auto", "auto", 3) is None
    assert "no GPU computes here" in caplog.text


def test_a_gpus_driver_may_reserve_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda name: (child.MEMORY_BYTES, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda name, both: limits.update({name: both}))
    child.admit_gpu()
    assert limits[resource.RLIMIT_AS] == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert limits[resource.RLIMIT_DATA] == (child.MEMORY_BYTES, resource.RLIM_INFINITY)
