from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from avzsl.contracts.errors import AvzslError, DataError
from avzsl.evaluation.multilabel import multilabel, read_labels

HEADER = "video_id,label,modality,background_music,static_image,voice_over\n"
ROWS = """a1_000000,dog,AV,False,False,False
a1_000000,"wind, noise",A,False,False,False
a2_000010,cat,V,False,True,False
a2_000010,dog,A,False,True,False
a3_000000,owl,AV,False,False,False
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(HEADER + ROWS, encoding="utf-8")
    return path


def predictions() -> pd.DataFrame:
    rows = [
        ("a1_000000", "dog", "test_seen", "wind, noise", None),  # wrong, but heard
        ("a2_000010", "dog", "test_seen", "cat", None),  # wrong, but seen, in a still picture
        ("a3_000000", "owl", "test_unseen", "dog", "owl"),
        ("b1_000000", "owl", "test_unseen", "owl", "owl"),  # without labels: left out of both
    ]
    return pd.DataFrame(rows, columns=["clip_id", "class_name", "subset", "predicted", "predicted_zsl"])


def test_a_prediction_among_the_labels_is_right(table: Path) -> None:
    got = {(row.modality, row.static): row for row in multilabel(predictions(), read_labels(table))}
    every = got["any", True]
    assert every.clips == 3
    assert every.plain == {"seen": 0.0, "unseen": 0.0, "hm": 0.0, "zsl": 100.0}
    assert every.multi == {"seen": 100.0, "unseen": 0.0, "hm": 0.0, "zsl": 100.0}
    assert got["heard", True].multi["seen"] == 50.0
    assert got["seen", True].multi["seen"] == 50.0
    assert (got["both", True].clips, got["both", True].multi["seen"]) == (2, 0.0)
    assert (got["any", False].clips, got["any", False].multi["seen"]) == (2, 100.0)


def test_an_own_label_that_the_clip_lacks_is_wrong(table: Path) -> None:
    own = predictions().assign(predicted="dog")
    got = {(row.modality, row.static): row for row in multilabel(own, read_labels(table))}
    assert got["any", True].plain["seen"] == 100.0
    assert got["seen", True].plain["seen"] == 100.0
    assert got["seen", True].multi["seen"] == 50.0, "a dog is heard in the second clip, not seen"


def test_what_is_no_such_table_is_refused(tmp_path: Path, table: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'video_id'"):
        read_labels(path)
    path.write_text(HEADER + "x,dog,B,False,False,False\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: modality 'B'"):
        read_labels(path)
    with pytest.raises(AvzslError, match="none of these test clips"):
        multilabel(predictions().iloc[3:], read_labels(table))


def test_without_the_package_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avzsl.evaluation.multilabel.PACKAGE", "no-such-package-here")
    with pytest.raises(AvzslError, match=r"pip install 'avzsl\[vggsounder\]'"):
        read_labels()


def test_the_packages_table_is_read_without_importing_it() -> None:
    import importlib.metadata
    import sys

    try:
        importlib.metadata.distribution("vggsounder")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("vggsounder is not installed (pip install 'avzsl[vggsounder]')")
    labels = read_labels()
    assert len(labels) == 12014
    assert "vggsounder" not in sys.modules
