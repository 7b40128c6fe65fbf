"""The extractor of docs/add-an-extractor.md does what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import read_arrays
from extractors import extract_shard, pack

from .test_shards import media  # isort: skip

ROOT = Path(__file__).resolve().parents[2]


def test_the_documented_extractor(
    make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "add-an-extractor.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.S)
    [settings] = re.findall(r"```yaml\n(.*?)```", text, re.S)
    package = tmp_path / "lib" / "mypackage"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "brightness.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    features = FeaturesConfig.model_validate(yaml.safe_load(settings))
    paths: dict[str, Path | None] = {
        "a": make_clip(seconds=2.0),
        "b": make_clip(seconds=0.2),
        "c": make_clip(audio=False),
    }
    shard = (tmp_path / "s.safetensors", tmp_path / "s.parquet")
    table = extract_shard(media(paths), features, *shard, cache=tmp_path)
    assert list(table["status"]) == ["ok", "too_short", "no_audio_stream"]
    pack([shard], tmp_path / "p.safetensors", tmp_path / "p.parquet")
    arrays, header = read_arrays(tmp_path / "p.safetensors")
    assert header["extractor"]["name"] == "brightness"
    # The clip's grey grows by 20 every tenth of a second; its tone has an amplitude of 8000.
    windows, _ = read_arrays(shard[0])
    assert windows["visual"][0].mean() == pytest.approx(90, abs=4)
    assert arrays["audio"][0, 0] == pytest.approx(8000 / 2**0.5, rel=0.05)
