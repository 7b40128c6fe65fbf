"""Loading weights: what is taken, what is refused, and that nothing of a file is executed."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained.checkpoints import random_state, read_checkpoint
from extractors import c3d_vggish, i3d_audiocnn
from extractors.selavi import Options
from extractors.selavi.trunks import Trunks
from extractors.weights import load_weights

TEMPLATE = {
    "video_network.base.stem.0.weight": torch.zeros(2, 3, 1, 7, 7),
    "video_network.base.stem.1.running_var": torch.zeros(2),
    "audio_network.base.bn1.num_batches_tracked": torch.tensor(0),
}


def published(prefix: str = "module.") -> dict[str, Any]:
    """Return a checkpoint as the trainer writes it."""
    model = OrderedDict((prefix + name, torch.ones_like(tensor)) for name, tensor in TEMPLATE.items())
    model[f"{prefix}mlp_v0.block_forward.2.weight"] = torch.zeros(4, 4)
    return {
        "epoch": 199, "model": model, "dist": [torch.zeros(3)], "selflabels": torch.zeros(5, 10, dtype=torch.int64),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}, "loss": np.float64(0.5), "array": np.ones(3, np.float32),
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_published_layout(tmp_path: Path, prefix: str) -> None:
    torch.save(published(prefix), tmp_path / "c.pth")
    state = read_checkpoint(tmp_path / "c.pth", TEMPLATE)
    assert set(state) == set(TEMPLATE)
    assert all((tensor == 1).all() for tensor in state.values())


def test_old_format(tmp_path: Path) -> None:
    torch.save(published(), tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    assert set(read_checkpoint(tmp_path / "c.pth", TEMPLATE)) == set(TEMPLATE)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    content = published()
    del content["model"]["module.video_network.base.stem.1.running_var"]
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(DataError, match=r"lacks 1 of the 3 tensors .*stem\.1\.running_var"):
        read_checkpoint(tmp_path / "c.pth", TEMPLATE)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    content = published()
    content["model"]["module.video_network.base.stem.1.running_var"] = torch.ones(1)  # copy_ would broadcast it
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(DataError, match=r"has shape \(1,\), expected \(2,\)"):
        read_checkpoint(tmp_path / "c.pth", TEMPLATE)


def test_nan_is_refused(tmp_path: Path) -> None:
    content = published()
    content["model"]["module.video_network.base.stem.1.running_var"][0] = float("nan")
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(DataError, match="NaN"):
        read_checkpoint(tmp_path / "c.pth", TEMPLATE)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import pathlib; pathlib.Path('executed').touch()",))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.chdir(tmp_path)
    content = published() | {"dist": Evil()}
    path = tmp_path / "c.pth"
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({"model": Evil()}, protocol=2))
    with pytest.raises(DataError) as caught:
        read_checkpoint(path, TEMPLATE)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 half", b"\x80\x02}q\x00."])
def test_other_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c.pth").write_bytes(data)
    with pytest.raises(DataError):
        read_checkpoint(tmp_path / "c.pth", TEMPLATE)


def test_truncated_checkpoint(tmp_path: Path) -> None:
    torch.save(published(), tmp_path / "c.pth")
    data = (tmp_path / "c.pth").read_bytes()
    for length in range(0, len(data), max(len(data) // 23, 1)):
        (tmp_path / "cut.pth").write_bytes(data[:length])
        with pytest.raises(DataError):
            read_checkpoint(tmp_path / "cut.pth", TEMPLATE)


def test_a_path_must_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="correct the path or give a url"):
        load_weights(WeightsConfig(path=str(tmp_path / "no.pth")), TEMPLATE, tmp_path)


def test_identity_is_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    torch.save(published(), path)
    digest = sha256_file(path)
    _, identity, random = load_weights(WeightsConfig(path=str(path), sha256=digest.upper()), TEMPLATE, tmp_path)
    assert (identity, random) == (f"sha256:{digest}", False)
    with pytest.raises(DataError, match=r"features\.weights\.sha256 says"):
        load_weights(WeightsConfig(path=str(path), sha256="0" * 64), TEMPLATE, tmp_path)


def test_random_weights_are_seeded_by_name() -> None:
    template = Trunks().state_dict()
    one, same, other = (
        random_state(template, 0),
        random_state(dict(reversed(template.items())), 0),
        random_state(template, 1),
    )
    name = "video_network.base.layer2.0.conv1.0.3.weight"
    assert all(torch.equal(one[key], same[key]) for key in template)
    assert not torch.equal(one[name], other[name])
    # He initialisation: variance 2 / fan-in.
    assert float(one[name].std()) == pytest.approx((2 / one[name][0].numel()) ** 0.5, rel=0.05)
    assert float(one[name].flatten()[0]) == pytest.approx(-0.07, abs=0.2)


def test_configurations_without_or_with_two_kinds_of_weights() -> None:
    for weights in ({}, {"random_seed": 0, "path": "x"}):
        with pytest.raises(ValueError, match="weights"):
            Options.model_validate({"weights": weights})
    with pytest.raises(ConfigError):
        load_weights(WeightsConfig(), TEMPLATE, Path())


@pytest.mark.parametrize(
    ("module", "where"),
    [
        (i3d_audiocnn, r"lacks 285 of the 342 .* as `picture_weights`: rgb_imagenet.pt of https://.*51 MB, Apache-2.0"),
        (c3d_vggish, r"lacks 20 of the 20 .* as `picture_weights`: c3d.pickle of http://.*320 MB"),
    ],
)
def test_a_file_of_another_network_says_where_the_right_one_is(module: Any, where: str, tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "o.pt")
    given = WeightsConfig(path=str(tmp_path / "o.pt"))
    options = module.Options(picture_weights=given, sound_weights=WeightsConfig(random_seed=0))
    with pytest.raises(DataError, match=where):
        module.load(options, "cpu", 1, tmp_path)


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"^picture_weights: .*http.*; sound_weights: .*http.*; whitening: .*http"):
        c3d_vggish.check(c3d_vggish.Options(postprocess="quantised"))
    with pytest.raises(ConfigError, match=r"^picture_weights: .*http.*; sound_weights: .*train: \{\}"):
        i3d_audiocnn.check(i3d_audiocnn.Options())
