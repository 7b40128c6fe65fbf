"""Both trunks against the reference's numbers, and every execution against the exact one."""

from __future__ import annotations

import copy
import importlib.util
import logging
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from avzsl.contracts.errors import ConfigError
from avzsl.runtime.accelerator import choose_device
from extractors.base import ClipInfo, Window
from extractors.packing import average
from extractors.selavi import Options
from extractors.selavi import networks as selavi_networks
from extractors.selavi.networks import SelaviNetworks, load_networks
from extractors.selavi.released import read_released
from extractors.selavi.trunks import Trunks

CPU = torch.device("cpu")


def formula_weights(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The weights that the reference numbers were made with."""
    rng, shape = np.random.default_rng(zlib.crc32(name.encode())), tuple(tensor.shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(tensor)
    if name.endswith("running_mean") or name.endswith(".bias"):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, np.float32))


@pytest.fixture(scope="module")
def trunks() -> Trunks:
    torch.set_num_threads(1)
    trunks = Trunks()
    trunks.load_state_dict({name: formula_weights(name, tensor) for name, tensor in trunks.state_dict().items()})
    return trunks.eval()


def networks(trunks: Trunks, execution: str) -> SelaviNetworks:
    return SelaviNetworks(copy.deepcopy(trunks), {"execution": execution}, CPU, execution, 8)


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    rng = np.random.default_rng(0)
    video = rng.standard_normal((2, 3, 30, 112, 112)).astype(np.float32)
    audio = rng.standard_normal((2, 1, 257, 99)).astype(np.float32)
    return [Window(k, k + 1.0, audio[k], np.ascontiguousarray(video[k].transpose(1, 2, 3, 0))) for k in range(2)]


def test_names_of_the_published_checkpoint(shared: Path, trunks: Trunks) -> None:
    lines = (shared / "golden" / "selavi" / "state_dict.tsv").read_text().splitlines()
    listed = {line.split("\t")[0]: line.split("\t")[1] for line in lines if "_network." in line}
    ours = {name: tuple(tensor.shape) for name, tensor in trunks.state_dict().items()}
    assert len(ours) == 294
    assert set(ours) == set(listed)
    for name, shape in ours.items():
        digits = [int(n) for n in "".join(c if c.isdigit() else " " for c in listed[name]).split()]
        assert tuple(digits) == shape, name
    assert sum(p.numel() for p in trunks.video.parameters()) == 31_300_125
    assert sum(p.numel() for p in trunks.audio.parameters()) == 4_899_520


@pytest.mark.parametrize("execution", ["exact", "fused"])
def test_features_of_the_reference(shared: Path, trunks: Trunks, windows: list[Window], execution: str) -> None:
    with np.load(shared / "golden" / "selavi" / "network_seed0.npz") as golden:
        audio, visual = networks(trunks, execution).embed(windows)()
        assert np.abs(audio - golden["audio_f64"]).max() < 2e-4
        assert np.abs(visual - golden["visual_f64"]).max() < 2e-4
        assert audio.dtype == visual.dtype == np.float32


@pytest.mark.parametrize(("execution", "limit"), [("fused", 1e-5), ("bfloat16", 2e-2)])
def test_openvino_agrees(trunks: Trunks, windows: list[Window], execution: str, limit: float) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed: pip install -e '.[openvino]'")
    expected_audio, expected = networks(trunks, "exact").embed(windows)()
    ours = networks(trunks, execution)
    ours.use_openvino(threads=1)
    audio, visual = ours.embed(windows)()
    assert np.abs(audio - expected_audio).max() < 1e-5 * np.abs(expected_audio).max()
    assert np.abs(visual - expected).max() < limit * np.abs(expected).max()
    assert ours.identity["backend"] == "openvino"
    if execution == "bfloat16":
        assert 0 < ours.measured["visual_relative_error"] < limit
    # The same bits again, alone and in another order.
    assert np.array_equal(ours.embed(windows[1:])()[1][0], visual[1])
    assert np.array_equal(ours.embed(windows[::-1])()[1][::-1], visual)
    assert sys.modules["openvino_telemetry"] is None, "nothing is reported to anybody"


@pytest.mark.parametrize("there", [True, False])
def test_bfloat16_is_used_where_the_processor_has_it(
    there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selavi_networks, "cpu_has_bfloat16", lambda: there)
    features = Options.model_validate({"weights": {"random_seed": 0}, "execution": "bfloat16"})
    with caplog.at_level(logging.INFO):
        found = load_networks(features, "cpu", 1, tmp_path)
    assert found.measured["execution"] == ("bfloat16" if there else "fused")
    assert ("does not multiply bfloat16" in caplog.text) != there
    # Shards of one run may come from different processors: what was asked for is the features' identity.
    assert found.identity["execution"] == "bfloat16"


def test_openvino_is_for_a_cpu_and_installed_on_purpose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    features = Options.model_validate({"weights": {"random_seed": 0}, "backend": "openvino"})
    with pytest.raises(ConfigError, match="runs on a CPU"):
        load_networks(features, "cuda", 1, tmp_path)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"pip install 'avzsl\[openvino\]'"):
        load_networks(features, "auto", 1, tmp_path)
    with pytest.raises(ValidationError, match="fused or bfloat16, not exact"):
        Options.model_validate({"weights": {"random_seed": 0}, "backend": "openvino", "execution": "exact"})


def test_stages_of_the_reference(shared: Path, trunks: Trunks, windows: list[Window]) -> None:
    with np.load(shared / "golden" / "selavi" / "network_seed0.npz") as golden, torch.inference_mode():
        stem = trunks.video.stem(torch.from_numpy(windows[0].visual).permute(3, 0, 1, 2)[None].contiguous())
        assert tuple(stem.shape) == (1, 64, 30, 56, 56)
        assert np.abs(stem.flatten()[::997][:2048].numpy() - golden["stem_sample"]).max() < 2e-4
        layer1 = trunks.video.layer1(stem)
        assert np.abs(layer1.flatten()[::997][:2048].numpy() - golden["layer1_sample"]).max() < 2e-4


def test_executions_agree(trunks: Trunks) -> None:
    # Half the frames: the fused form must not depend on how many there are.
    rng = np.random.default_rng(1)
    some = [
        Window(k, k + 1.0, rng.standard_normal((1, 257, 99 - 40 * k)).astype(np.float32), rng.standard_normal((9, 112, 112, 3)).astype(np.float32))
        for k in range(2)
    ]  # fmt: skip
    exact_audio, exact_visual = networks(trunks, "exact").embed(some)()
    for execution, limit in (("fused", 1e-5), ("bfloat16", 2e-2)):
        fused = networks(trunks, execution)
        audio, visual = fused.embed(some)()
        assert np.abs(audio - exact_audio).max() < 1e-5 * np.abs(exact_audio).max()
        error = np.abs(visual - exact_visual).max() / np.abs(exact_visual).max()
        assert error < limit
        if execution == "bfloat16":
            assert 0 < fused.measured["visual_relative_error"] < limit
        # Neighbours in the batch change nothing, not even the last bit.
        alone = [fused.embed([one])() for one in reversed(some)][::-1]
        assert all(
            np.array_equal(audio[k], alone[k][0][0]) and np.array_equal(visual[k], alone[k][1][0]) for k in range(2)
        )


def test_windows_side_by_side_are_those_of_one_after_the_other(trunks: Trunks, windows: list[Window]) -> None:
    alone = networks(trunks, "fused")
    beside = SelaviNetworks(copy.deepcopy(trunks), {"execution": "bfloat16"}, CPU, "fused", 2, threads=2)
    first, second = beside.embed(windows), beside.embed(windows[::-1])  # begun before the first is waited for
    for ours, other, theirs in zip(first(), second(), alone.embed(windows)(), strict=True):
        assert np.array_equal(ours, theirs)
        assert np.array_equal(other[::-1], theirs)


def test_uint8_frames_are_normalised(trunks: Trunks) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (4, 112, 112, 3), np.uint8)
    sound = np.zeros((1, 257, 99), np.float32)
    fused = networks(trunks, "fused")
    _, given = fused.embed([Window(0.0, 1.0, sound, frames)])()
    _, expected = fused.embed(
        [Window(0.0, 1.0, sound, (frames / np.float32(255) - np.float32(0.45)) / np.float32(0.225))]
    )()
    assert given == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_identity(tmp_path: Path) -> None:
    features = Options.model_validate({"weights": {"random_seed": 7}, "antialias": True})
    loaded = load_networks(features, "cpu", 1, tmp_path)
    assert loaded.identity == {
        "name": "selavi", "windows": "uniform", "weights": "random:7", "random_weights": True, "execution": "fused", "antialias": True,
    }  # fmt: skip


def test_half_needs_a_gpu(tmp_path: Path) -> None:
    features = Options.model_validate({"weights": {"random_seed": 0}, "execution": "half"})
    with pytest.raises(ConfigError, match="half needs a GPU"):
        load_networks(features, "cpu", 1, tmp_path)


def test_device(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level("INFO"):
        assert choose_device("auto").type == "cpu"
    assert "no GPU" in caplog.text
    with pytest.raises(ConfigError, match="sees no GPU"):
        choose_device("cuda")


def test_a_real_file_from_end_to_end(shared: Path, trunks: Trunks) -> None:
    # The reference's features of a clip under the same weights: windows, networks and average together.
    clip = read_released(shared / "data" / "clips" / "a_4p6s_2997.mp4", ClipInfo())
    audio, visual = networks(trunks, "fused").embed(list(clip))()
    offsets = np.array([0, len(audio)])
    with np.load(shared / "golden" / "selavi" / "a_4p6s_2997.npz") as golden:
        assert np.abs(visual - golden["window_visual"]).max() < 2e-4
        assert np.abs(average(visual, offsets)[0] - golden["visual_features"]).max() < 2e-4
        # AAC decoders differ in the last bit, and the spectrogram of a quiet band by 3.5e-3.
        assert np.abs(audio - golden["window_audio"]).max() < 5e-3
        assert np.abs(average(audio, offsets)[0] - golden["audio_features"]).max() < 5e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("execution", "limit"), [("exact", 1e-4), ("fused", 1e-4), ("bfloat16", 2e-2), ("half", 5e-3)])
def test_a_gpu_agrees_with_the_cpu(trunks: Trunks, windows: list[Window], execution: str, limit: float) -> None:
    audio, visual = networks(trunks, "exact").embed(windows)()
    gpu = SelaviNetworks(copy.deepcopy(trunks), {"execution": execution}, torch.device("cuda"), execution, 8)
    for ours, theirs in zip(gpu.embed(windows)(), (audio, visual), strict=True):
        assert np.abs(ours - theirs).max() < limit * np.abs(theirs).max()
