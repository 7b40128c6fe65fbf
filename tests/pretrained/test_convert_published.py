"""Every published file of weights that an extractor or a text backend names: converted, it is read as the original is.

The files are made up: the container, the names and the company of the published ones, with tensors of a few numbers where a
reader's own shapes are no matter of the layout.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avzsl.cli import main
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained import efficientnet, yamnet
from avzsl.pretrained.checkpoints import read_tensors
from avzsl.pretrained.clap import wavcaps_tensors
from avzsl.pretrained.clip_names import openai_names
from avzsl.pretrained.convert import convert
from extractors.c3d_vggish.networks import C3D, VGGish
from extractors.c3d_vggish.weights import read_whitening, vggish_names
from extractors.i3d_audiocnn.audio_network import AudioNetwork, audio_network
from extractors.i3d_audiocnn.i3d import I3D, tensor_names
from extractors.selavi.trunks import Trunks
from tests.clip_clap_files import write_clip_weights, write_laion, write_wavcaps
from tests.extractors.test_i3d_audiocnn import hassony2

State = dict[str, Tensor]
needs_clip = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("open_clip", "transformers")),
    reason="the extra [clip] is not installed",
)
needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnx") is None, reason="the extra [pretrained] is not installed"
)


def small(network: nn.Module) -> State:
    """Return the names of a network with three numbers a dimension, all different."""
    state = network.state_dict()
    return {
        name: torch.arange(float(3**v.ndim)).reshape((3,) * v.ndim) + n for n, (name, v) in enumerate(state.items())
    }


def on_meta(make: Callable[..., nn.Module], *arguments: Any) -> State:
    with torch.device("meta"):
        network = make(*arguments)
    return small(network)


def legacy(state: State, path: Path) -> None:
    """Write as torch did before its files were zip archives."""
    torch.save(state, path, _use_new_zipfile_serialization=False)


def selavi(path: Path) -> None:
    model = {f"module.{name}": value for name, value in on_meta(Trunks).items()}
    model["module.mlp_v0.block_forward.2.weight"] = torch.ones(2, 2)
    optimiser = {"state": {}, "param_groups": [{"lr": 0.1}]}
    rest = {"epoch": 199, "dist": [torch.zeros(3)], "selflabels": torch.zeros(5, 10), "optimizer": optimiser}
    torch.save({"model": model, **rest}, path)


def c3d(path: Path) -> None:
    legacy(on_meta(C3D, "fc7") | {"fc8.weight": torch.ones(3, 3), "fc8.bias": torch.ones(3)}, path)


def vggish(path: Path) -> None:
    torch.save(on_meta(VGGish), path)


def vggish_fc(path: Path) -> None:
    torch.save({name.replace("embeddings.", "fc."): value for name, value in on_meta(VGGish).items()}, path)


def whitening(path: Path) -> None:
    arrays = {"pca_eigen_vectors": np.eye(128, dtype=np.float32), "pca_means": np.ones((128, 1), np.float32)}
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        torch.save(arrays, path)


def i3d(path: Path) -> None:
    legacy({name: value for name, value in on_meta(I3D).items() if "num_batches" not in name}, path)


def i3d_hassony2(path: Path) -> None:
    torch.save({hassony2(name): value for name, value in on_meta(I3D).items() if "num_batches" not in name}, path)


def audio_cnn(path: Path) -> None:
    legacy({f"module.{name}": value for name, value in on_meta(AudioNetwork, 527).items()}, path)


def lite0(path: Path) -> None:
    counters = {"_bn0.num_batches_tracked": torch.tensor(1)}
    torch.save({name: torch.full(shape, 0.5) for name, shape in efficientnet.shapes().items()} | counters, path)


def yamnet_onnx(path: Path) -> None:
    from onnx import helper, numpy_helper

    arrays = {name: np.full(shape, n / 100, np.float32) for n, (name, shape) in enumerate(yamnet.shapes().items())}
    nodes = [
        helper.make_node("Conv", ["x", f"conv.{i}.weight", f"conv.{i}.bias"], [f"y{i}"], strides=[s, s], group=g)
        for i, (s, g) in enumerate(yamnet.plan())
    ]
    nodes.append(helper.make_node("Gemm", ["x", "head.weight", "head.bias"], ["z"]))
    initialisers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "yamnet", [], [], initialisers)
    path.write_bytes(helper.make_model(graph).SerializeToString())


def clip_hub(path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    parts = {"text_config": {"num_hidden_layers": 1}, "vision_config": {"num_hidden_layers": 1}}
    torch.save(on_meta(lambda: CLIPModel(CLIPConfig(**parts))), path)


def clip_archive(path: Path) -> None:
    """Write modules of code by the names of OpenAI's own file."""
    from avzsl.pretrained.clip import empty_clip

    top = nn.Module()
    for name, value in small(empty_clip(1)).items():
        inner = top
        *modules, last = name.split(".")
        for one in modules:
            if one not in dict(inner.named_children()):
                inner.add_module(one, nn.Module())
            inner = inner.get_submodule(one)
        inner.register_parameter(last, nn.Parameter(value.half(), requires_grad=False))
    torch.jit.script(top).save(str(path))  # type: ignore[no-untyped-call]


def by(translate: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> Callable[[Path], Mapping[str, Tensor]]:
    return lambda path: translate(read_tensors(path))


def whitened(path: Path) -> State:
    return dict(read_whitening(path).state_dict())


def tagger(path: Path) -> State:
    return {name: torch.from_numpy(array) for name, array in yamnet.read_yamnet(path).items()}


@dataclass(frozen=True)
class Published:
    """A published file: its name, what makes one like it, what reads it, and what is left behind of it."""

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Mapping[str, Tensor]]
    dropped: tuple[str, ...] = ()


FILES = {
    "SeLaVi": Published("selavi.pth", selavi, by(dict), ("dist", "epoch", "optimizer", "selflabels")),
    "C3D": Published("c3d.pickle", c3d, by(dict)),
    "VGGish": Published("vggish-10086976.pth", vggish, by(vggish_names)),
    "VGGish of tcvrick": Published("pytorch_vggish.pth", vggish_fc, by(vggish_names)),
    "whitening": Published("vggish_pca_params-970ea276.pth", whitening, whitened),
    "AudioSet's whitening": Published("vggish_pca_params.npz", whitening, whitened),
    "I3D": Published("rgb_imagenet.pt", i3d, by(tensor_names)),
    "I3D of hassony2": Published("model_rgb.pth", i3d_hassony2, by(tensor_names)),
    "audio network": Published("mx-h64-1024_0d3-1.17.pkl", audio_cnn, by(audio_network)),
    "EfficientNet-Lite0": Published("efficientnet-lite0-57934424.pth", lite0, efficientnet.read_efficientnet),
    "YAMNet": Published("model.onnx", yamnet_onnx, tagger, ("graph",)),
    "CLIP of open_clip": Published("open_clip.safetensors", write_clip_weights, by(openai_names)),
    "CLIP of transformers": Published("pytorch_model.bin", clip_hub, by(openai_names)),
    "CLAP of LAION": Published("model.safetensors", lambda path: write_laion(path.parent, ["dog"]), by(dict)),
    "CLAP of WavCaps": Published(
        "HTSAT_BERT_zero_shot.pt", lambda path: write_wavcaps(path.parent, ["dog"]), by(wavcaps_tensors), ("epoch", "optimizer")
    ),
}  # fmt: skip
EXTRAS = {"CL": needs_clip, "YA": needs_onnx}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=EXTRAS.get(kind[:2], ())) for kind in FILES])
def test_a_published_file_is_read_the_same_once_it_is_converted(kind: str, tmp_path: Path) -> None:
    one, out = FILES[kind], tmp_path / "converted.safetensors"
    one.write(tmp_path / one.name)
    assert main(["weights", "convert", str(tmp_path / one.name), "--out", str(out)]) == 0
    before, after = one.read(tmp_path / one.name), one.read(out)
    assert before and set(before) == set(after)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)
    record = json.loads(Path(f"{out}.json").read_text(encoding="utf-8"))
    assert sorted(record["dropped"]) == sorted(one.dropped)
    assert (record["source"], record["sha256"]) == (one.name, sha256_file(tmp_path / one.name))


@needs_clip
def test_openais_archive_is_read_as_open_clips_file(tmp_path: Path) -> None:
    clip_archive(tmp_path / "ViT-B-32.pt")
    from avzsl.pretrained.clip import empty_clip

    convert(tmp_path / "ViT-B-32.pt", tmp_path / "o.safetensors", sha256_file(tmp_path / "ViT-B-32.pt"))
    found, expected = openai_names(read_tensors(tmp_path / "o.safetensors")), small(empty_clip(1))
    assert set(found) == set(expected)
    assert all(torch.equal(found[name].float(), value.half().float()) for name, value in expected.items())


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("name", ["c.pth", "c.pickle", "c.npz"])
def test_nothing_of_a_file_is_executed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "c.npz":
        np.savez(name, a=np.array([Trap()], dtype=object))
    elif name == "c.pth":
        torch.save({"model": {"a": torch.ones(1)}, "args": Trap()}, name)
    else:
        Path(name).write_bytes(pickle.dumps({"a": Trap()}, protocol=2))
    with pytest.raises(DataError):
        convert(Path(name), Path("o.safetensors"))
    assert not Path("executed").exists() and not Path("o.safetensors").exists()


@needs_onnx
def test_converted_networks_take_the_place_of_the_packages(tmp_path: Path) -> None:
    from avzsl.config.features import WeightsConfig
    from extractors.pretrained.networks import load_weights

    lite0(tmp_path / "lite.pth")
    yamnet_onnx(tmp_path / "y.onnx")
    given = load_weights(WeightsConfig(path=str(tmp_path)))
    folder = tmp_path / "converted"
    folder.mkdir()
    for name in ("lite.pth", "y.onnx"):
        convert(tmp_path / name, (folder / name).with_suffix(".safetensors"))
    found = load_weights(WeightsConfig(path=str(folder)))
    for one, other in zip(given[:2], found[:2], strict=True):
        assert set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)
