"""What the shared cache keeps features under: all that decides them and nothing else."""

from __future__ import annotations

import pandas as pd
import pytest

from avzsl.config.features import FeaturesConfig
from extractors import pretrained
from extractors.key import shard_key

MEDIA = pd.DataFrame(
    {
        "clip_id": ["a", "b"], "shard": 0, "status": ["ok", "removed"], "path": ["a.mp4", None], "sha256": ["0" * 64, None],
        "bytes": [10, None], "source": ["folder", None], "reason": [None, "gone"],
    }
)  # fmt: skip
PLAIN = {"weights": {"random_seed": 0}}


def key(media: pd.DataFrame = MEDIA, device: str = "cpu", **changes: object) -> str:
    return shard_key(media, FeaturesConfig.model_validate({**PLAIN, **changes}), device)


@pytest.mark.parametrize(
    "changes",
    [
        {"windows": "as_released"}, {"antialias": True}, {"weights": {"random_seed": 1}}, {"execution": "exact"},
        {"execution": "bfloat16"}, {"extractor": "pretrained"}, {"dtype": "float16"},
        {"max_lost_share": 0.5}, {"time_limit_s": 60.0},
    ],
)  # fmt: skip
def test_every_setting_that_decides_features_counts(changes):
    assert key(**changes) != key()


def test_device_clips_and_their_bytes_count():
    assert key(device="cuda") != key()
    for column, value in (("clip_id", "c"), ("sha256", "1" * 64), ("status", "corrupt")):
        other = MEDIA.copy()
        other.loc[0, column] = value
        assert key(other) != key()


def test_a_title_and_paths_do_not_count(tmp_path):
    assert key(title="another") == key()
    moved = MEDIA.copy()
    moved.loc[0, "path"] = "elsewhere/a.mp4"
    assert key(moved) == key()
    # Weights count by their content.
    for name, content in (("one", b"1"), ("three", b"2")):
        (tmp_path / name).write_bytes(content)
    one, three = (key(weights={"path": str(tmp_path / name)}) for name in ("one", "three"))
    assert one != three


def test_a_revision_of_the_extractor_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(), key(extractor="pretrained")
    monkeypatch.setattr(pretrained.Options, "revision", pretrained.Options.revision + 1)
    assert key() == before[0], "another extractor's"
    assert key(extractor="pretrained") != before[1]
