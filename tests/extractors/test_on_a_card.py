"""Extractors on a make-believe GPU: what they do there and on a CPU not, with the CPU's numbers."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import AvzslError
from avzsl.media import hardware
from avzsl.runtime.accelerator import Accelerator, Cuda
from extractors import pretrained, selavi
from extractors.base import Window
from extractors.guarded import Guarded
from extractors.pretrained import sound
from extractors.selavi import device, prepare
from extractors.selavi import networks as selavi_networks
from extractors.selavi.device import DeviceNetworks
from extractors.selavi.trunks import Trunks
from tests.extractors.test_device import windows
from tests.runtime.make_believe import CARD, OnTheCpu, make_believe

RANDOM = WeightsConfig(random_seed=0)


def test_pretrained_takes_a_batch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 2, 224, 224, 3), np.uint8)
    heard = [sound.patches(rng.integers(-9000, 9000, n).astype(np.int16)) for n in (15600, 32000)]
    given = [Window(0, 1, heard[0], frames[0]), Window(1, 2, heard[1], None), Window(2, 3, None, frames[1][:1])]
    options = pretrained.Options(weights=RANDOM)
    expected = pretrained.load(options, "cpu", 1, Path()).embed(given)()
    make_believe(monkeypatch)
    with OnTheCpu():
        there = pretrained.load(options, "cuda", 1, Path())
        assert there._device == CARD
        found = there.embed(given)()
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_selavi_feeds_a_card(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    given = windows(2)

    def features(networks: DeviceNetworks) -> Any:
        there = [Window.of(w.start, w.end, networks.feed.upload(w.arrays())) for w in given]
        return networks.embed(there)()

    make_believe(monkeypatch)
    monkeypatch.setattr(Cuda, "record", Accelerator.record)  # kernels are not replayed here
    options = selavi.Options(weights=RANDOM, execution="fused", batch_windows=2)
    with OnTheCpu(), caplog.at_level(logging.INFO):
        there = selavi.load(options, "cuda", 1, Path())
        assert isinstance(there, DeviceNetworks)
        found = features(there)
    assert "fused: no fused kernels (" in caplog.text, "a CPU has none, and the plain ones take their place"
    monkeypatch.setattr(selavi_networks, "accelerator", lambda device: Accelerator(torch.device("cpu")))
    with OnTheCpu():
        expected = features(selavi.load(options, "cuda", 1, Path()))  # type: ignore[arg-type]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def out_of_memory(*given: Any, **named: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_holds_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Accelerator):
        name = "a full card"
        free_bytes = lambda self: 1 << 20  # noqa: E731
        peak_bytes = out_of_memory

    given, card = windows(2), Full(torch.device("cpu"))
    networks = DeviceNetworks(Trunks().eval(), {}, card, "fused", None, released=False)
    assert networks.batch_windows == 1, "where not even the measure fits"
    monkeypatch.setattr(device, "_error", out_of_memory)
    there = [Window.of(w.start, w.end, networks.feed.upload(w.arrays())) for w in given]
    with pytest.raises(AvzslError, match="does not hold a single window"):
        Guarded(networks).embed(there)


def test_a_context_of_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    context = SimpleNamespace(create=lambda codec: codec.name)
    monkeypatch.setattr(hardware, "HWAccel", lambda *given, **named: asked.append((given, named)) or context)
    for name in ("accel", "kept"):
        monkeypatch.setattr(hardware._State, name, None)
    hardware.start(3)
    assert asked == [(("cuda", 3), {"allow_software_fallback": False, "options": {"primary_ctx": "1"}})]
    assert hardware._State.kept == "h264"
    assert hardware.accel() is None
    stream: Any = SimpleNamespace(codec_context=SimpleNamespace(name="h264", is_hwaccel=False))
    frame: Any = SimpleNamespace(is_corrupt=True)
    with hardware.reading():
        assert hardware.accel() is context
        with pytest.raises(hardware.HardwareError, match="its h264 is not opened by the GPU's decoder"):
            hardware.check(stream)
        with pytest.raises(hardware.HardwareError, match="a picture is damaged"):
            hardware.as_decoded(frame)
    hardware.check(stream)
    assert hardware.as_decoded(frame) is frame


def test_what_another_stream_copied_is_kept_until_this_one_has_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_believe(monkeypatch)
    kept: list[Any] = []

    class There(torch.Tensor):
        is_cuda = True

        def record_stream(self, stream: Any) -> None:
            kept.append(stream)

    prepare._here(torch.ones(3).as_subclass(There), torch.device("cpu"))
    assert kept == [torch.cuda.current_stream()]
