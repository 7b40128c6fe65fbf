"""Converting checkpoints: what is kept, what is refused, and that nothing of a file is executed."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from avzsl.cli import main
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained import convert as module
from avzsl.pretrained.checkpoints import read_checkpoint, read_content
from avzsl.pretrained.convert import convert
from avzsl.pretrained.torchscript import read_torchscript


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.jit.script(network().half()).save(str(tmp_path / "a.pt"))
    return tmp_path / "a.pt"


def test_a_training_checkpoint_keeps_its_tensors_and_a_record_of_the_rest(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in network().state_dict().items()}
    torch.save(
        {
            "model": state | {"module.note": "x"},
            "optimizer": {"state": {}, "lr": 1.0},
            "epoch": 3,
            "logs": [np.float64(1)],
        },
        tmp_path / "c.pth",
    )
    assert main(["weights", "convert", str(tmp_path / "c.pth")]) == 0
    out = tmp_path / "c.safetensors"
    found = read_checkpoint(out, network().state_dict())
    for name, value in found.items():
        torch.testing.assert_close(value, state[f"module.{name}"], rtol=0, atol=0)
    record = json.loads((tmp_path / "c.safetensors.json").read_text(encoding="utf-8"))
    assert record["dropped"] == {"optimizer": "dict of 2", "epoch": "int", "logs": "list of 1", "module.note": "str"}
    assert record["sha256"] == sha256_file(tmp_path / "c.pth")
    with safe_open(out, "pt") as stream:
        assert stream.metadata()["source_sha256"] == record["sha256"]
    with pytest.raises(DataError, match="is there already"):
        convert(tmp_path / "c.pth", out)


def test_arrays_and_shared_tensors_are_kept(tmp_path: Path) -> None:
    shared = torch.ones(3)
    torch.save({"a": shared, "b": shared, "pca_means": np.arange(4.0)}, tmp_path / "c.pth")
    convert(tmp_path / "c.pth", tmp_path / "o.safetensors")
    found = read_content(tmp_path / "o.safetensors", "")
    assert set(found) == {"a", "b", "pca_means"}
    assert found["pca_means"].tolist() == [0, 1, 2, 3]


def test_an_archive_is_read_without_its_code(archive: Path, tmp_path: Path) -> None:
    expected = torch.jit.load(str(archive)).state_dict()
    tensors, _ = read_torchscript(archive)
    assert set(tensors) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(tensors[name], value, rtol=0, atol=0)
    record = convert(archive, tmp_path / "o.safetensors", sha256_file(archive).upper())
    assert record["dropped"]["code"] == "TorchScript, not read"
    assert set(read_content(tmp_path / "o.safetensors", "")) == set(expected)


def test_an_archive_is_opened_for_its_checksum_alone(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "o.safetensors"
    with pytest.raises(DataError, match=r"unknown sha256 [0-9a-f]{64}.*--sha256"):
        convert(archive, out)
    with pytest.raises(DataError, match="expected 000"):
        convert(archive, out, "0" * 64)
    with pytest.raises(DataError, match="avzsl weights convert"):
        read_content(archive, "")
    assert not out.exists()
    monkeypatch.setattr(module, "KNOWN_ARCHIVES", {sha256_file(archive): "this"})
    assert convert(archive, out)["tensors"] == len(network().state_dict())


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def rewritten(archive: Path, out: Path, content: bytes) -> Path:
    """Return the archive with another data.pkl."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith("data.pkl") else old.read(name))
    return out


def test_nothing_of_an_archive_is_executed(archive: Path, tmp_path: Path) -> None:
    bad = rewritten(archive, tmp_path / "bad.pt", pickle.dumps(Evil(tmp_path / "done"), protocol=2))
    with pytest.raises(DataError, match=r"it asks for .*nothing of it was executed"):
        read_torchscript(bad)
    assert not (tmp_path / "done").exists()
    with pytest.raises(DataError, match="not a whole TorchScript archive"):
        read_torchscript(rewritten(archive, tmp_path / "cut.pt", b"\x80\x02"))


def test_an_archive_that_would_unpack_without_end_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("x/data/99", bytes(10_000_000))
    with pytest.raises(DataError, match="would unpack to"):
        read_torchscript(tmp_path / "bomb.pt")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"hello")
    assert main(["weights", "convert", str(tmp_path / "x.pt")]) == 1
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds no state dict"):
        convert(tmp_path / "list.pt", tmp_path / "o.safetensors")
    assert not (tmp_path / "x.safetensors").exists() and not (tmp_path / "o.safetensors").exists()
