"""The networks of a GPU on a make-believe one: choice of arithmetic and batch, too little memory, missing types, a lost card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.runtime import accelerator as accelerators
from avzsl.runtime.accelerator import Accelerator, Cuda, LostError, choose_device, losses
from extractors.base import Window
from extractors.selavi import device
from extractors.selavi.device import DeviceNetworks
from extractors.selavi.picture import taps
from extractors.selavi.raw import raw_window
from extractors.selavi.trunks import FusedVideoTrunk, Trunks


class Card(Accelerator):
    """A GPU of so many windows of memory, made of a CPU."""

    def __init__(
        self, windows: int = 99, without: tuple[torch.dtype, ...] = (), pace: dict[str, float] | None = None
    ) -> None:
        super().__init__(torch.device("cpu"))
        self.windows, self.without, self.pace = windows, without, pace or {}
        self.recorded = self.replayed = self.forgotten = 0

    name = "a make-believe card"

    def lacks(self, dtype: torch.dtype) -> str | None:
        return f"{self.name} has no {dtype}".replace("torch.", "") if dtype in self.without else None

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        self.recorded += 1

        def replay() -> Any:
            self.replayed += 1
            return work()

        return replay

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture(scope="module")
def trunks() -> Trunks:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return Trunks().eval()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trunk that costs nothing, with a limit of windows as memory has one."""

    def forward(self: FusedVideoTrunk, video: torch.Tensor) -> torch.Tensor:
        assert video.dtype == self.spatial.weight.dtype
        rounded = video.float()
        return torch.cat([rounded.mean((1, 2, 3)), rounded.amax((1, 2, 3))], 1).repeat(1, 86)[:, :512] * self.scale

    monkeypatch.setattr(FusedVideoTrunk, "forward", forward)
    monkeypatch.setattr(FusedVideoTrunk, "scale", 1.0, raising=False)


def windows(count: int, seed: int = 0) -> list[Window]:
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        frames = [taps(rng.integers(0, 256, (120, 160, 3), np.uint8)) for _ in range(2)]
        made.append(raw_window(k, k + 1.0, (rng.standard_normal(44100) * 900).astype(np.int16), [frames[0], *frames]))
    return made


def uploaded(networks: DeviceNetworks, given: list[Window]) -> list[Window]:
    return [Window.of(w.start, w.end, networks.feed.upload(w.arrays())) for w in given]


def networks(trunks: Trunks, card: Card, execution: str = "auto", batch: int | None = 4) -> DeviceNetworks:
    return DeviceNetworks(trunks, {"execution": execution}, card, execution, batch, released=False)


def test_batches_are_recorded_once_and_replayed(trunks: Trunks) -> None:
    card = Card()
    ours = networks(trunks, card)
    given = uploaded(ours, windows(11))
    results = [ours.embed(given[k : k + 4])() for k in (0, 4, 8)]  # the last has three windows
    assert (card.recorded, card.replayed) == (1, 2)
    audio, visual = (np.concatenate(parts) for parts in zip(*results, strict=True))
    assert audio.shape == visual.shape == (11, 512)
    assert np.abs(audio - visual).max() > 1e-3, "the picture twice"
    alone = networks(trunks, Card(), batch=1)
    for k in (0, 5, 10):
        one_audio, one_visual = alone.embed(given[k : k + 1])()
        np.testing.assert_allclose(audio[k], one_audio[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(visual[k], one_visual[0], rtol=2e-3, atol=2e-3)


def test_the_fastest_that_is_exact_enough(trunks: Trunks, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(self: Card, work: Callable[[], Any]) -> float:
        return next(one for one in times)

    monkeypatch.setattr(Card, "seconds", seconds)
    errors = iter([5e-3, 2e-3, 4e-4, 0.0])
    monkeypatch.setattr(device, "_error", lambda features, exact: next(errors))
    times = iter([1.0, 1.0, 0.5, 0.5, 2.0, 2.0, 3.0, 3.0])
    ours = networks(trunks, Card())
    ours.embed(uploaded(ours, windows(2)))()
    assert ours.measured["execution"] == "tf32", "half and bfloat16 are faster and too far off"
    assert ours.measured["half_error"] == 5e-3
    assert ours.measured["visual_relative_error"] == 4e-4
    assert ours.identity["execution"] == "auto", "shards whose choice differs are packed together"


def test_what_a_card_lacks(trunks: Trunks, caplog: pytest.LogCaptureFixture) -> None:
    ours = networks(trunks, Card(without=(torch.bfloat16,)), "bfloat16")
    assert "bfloat16 is not to be had (a make-believe card has no bfloat16): half in its place" in caplog.text
    ours.embed(uploaded(ours, windows(1)))()
    assert ours.measured["execution"] == ours.identity["execution"] == "half"
    auto = networks(trunks, Card(without=(torch.bfloat16, torch.float16)))
    auto.embed(uploaded(auto, windows(1)))()
    assert set(auto.measured) >= {"tf32_error", "fused_error"}
    assert "half_error" not in auto.measured


def test_too_little_memory_halves_the_batch(
    trunks: Trunks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card()
    ours = networks(trunks, card, "fused", batch=8)
    given = uploaded(ours, windows(8))
    expected = ours.embed(given)()[1]
    whole = device._Run.__call__

    def limited(self: Any, count: int, most: int) -> torch.Tensor:
        if count > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, count, most)

    monkeypatch.setattr(device._Run, "__call__", limited)
    with caplog.at_level("WARNING"):
        np.testing.assert_array_equal(ours.embed(given)()[1], expected)
        np.testing.assert_array_equal(ours.embed(given)()[1], expected)
    assert ours.batch_windows == 2
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "the GPU's memory does not hold a batch: 4 windows at a time from here on"
    ]
    assert card.forgotten == 2
    monkeypatch.setattr(device._Run, "__call__", lambda *a: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.raises(AvzslError, match="does not hold a single window"):
        ours.embed(given)


def test_the_batch_is_what_memory_allows(trunks: Trunks) -> None:
    class Small(Card):
        def free_bytes(self) -> int:
            return 40 << 20

        def peak_bytes(self, work: Callable[[], Any]) -> int:
            work()
            return self.windows << 20

    frames = 30 * 112 * 112 * 3 * 4 / 2**20
    assert networks(trunks, Small(windows=4), batch=None).batch_windows == int(20 / (1 + frames))
    assert networks(trunks, Small(windows=4000), batch=None).batch_windows == 1
    assert networks(trunks, Card(), batch=None).batch_windows == 16


def test_numbers_that_sixteen_bits_do_not_reach(
    trunks: Trunks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours = networks(trunks, Card(), "half")
    given = uploaded(ours, windows(3))
    ours.embed(given)()
    exact = networks(trunks, Card(), "fused").embed(given)()[1]
    monkeypatch.setattr(device._Run, "__call__", lambda self, count, most: torch.full((count, 512), torch.inf))
    np.testing.assert_allclose(ours.embed(given)()[1], exact, rtol=1e-6)
    assert "no numbers" in caplog.text


def test_a_lost_card(trunks: Trunks, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = networks(trunks, Card(), "fused")
    given = uploaded(ours, windows(1))
    text = "CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA"
    monkeypatch.setattr(device, "prepare_pictures", lambda *a, **k: (_ for _ in ()).throw(RuntimeError(text)))
    with pytest.raises(LostError, match=r"lost while computing features \(CUDA error: unspecified launch failure\)"):
        ours.embed(given)
    with pytest.raises(ValueError, match="own"), losses("x"):
        raise ValueError("own")
    with pytest.raises(torch.OutOfMemoryError), losses("x"):
        raise RuntimeError("CUDA error: out of memory")
    with pytest.raises(RuntimeError, match="shapes"), losses("x"):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The NVIDIA driver on your system is too old (found version 11040).", "the driver is too old"),
        ("CUDA initialization: Unexpected error from cudaGetDeviceCount()", "the driver does not answer"),
        (None, "sees no GPU; use"),
    ],
)
def test_a_driver_that_does_not_do(said: str | None, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_available() -> bool:
        if said:
            import warnings

            warnings.warn(said, stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match=told):
        choose_device("cuda")


def test_what_a_gpu_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GTX 1080")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    card = Cuda(torch.device("cpu"))
    assert card.lacks(torch.bfloat16) == "GTX 1080 has no bfloat16"
    assert card.lacks(torch.float16) is None
    before = torch.backends.cudnn.allow_tf32
    with card.float32_as(not before):
        assert torch.backends.cudnn.allow_tf32 is not before
    assert torch.backends.cudnn.allow_tf32 is before
    assert type(accelerators.accelerator(torch.device("cpu"))) is Accelerator


def test_padded_channels_change_nothing(monkeypatch: pytest.MonkeyPatch, trunks: Trunks) -> None:
    monkeypatch.undo()
    frames = torch.randn(1, 3, 112, 112, 3, generator=torch.Generator().manual_seed(1))
    plain, padded = FusedVideoTrunk(trunks.video).eval(), FusedVideoTrunk(trunks.video, multiple=8).eval()
    assert plain.spatial.weight.shape[0] == 45
    assert padded.spatial.weight.shape[0] == 48
    assert padded.blocks[-1].temporal2.weight.shape[1] % 8 == 0
    with torch.inference_mode():
        torch.testing.assert_close(padded(frames), plain(frames), rtol=1e-5, atol=1e-6)
