"""Whether a processor multiplies bfloat16 itself."""

from __future__ import annotations

import platform

import pytest
import torch

from avzsl.runtime.accelerator import cpu_has_bfloat16


@pytest.mark.parametrize(("avx512", "amx", "there"), [(False, False, False), (True, False, True), (False, True, True)])
def test_an_x86_needs_one_of_its_two_kinds_of_instructions(
    avx512: bool, amx: bool, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert cpu_has_bfloat16() == there


def test_another_processor_is_asked_of_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert cpu_has_bfloat16() == bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
