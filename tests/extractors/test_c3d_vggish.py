"""C3D and VGGish: networks, front end and quantisation against the released code, and files of their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from extractors.c3d_vggish.networks import C3D, Quantiser, VGGish
from extractors.c3d_vggish.sound import examples
from extractors.c3d_vggish.weights import read_whitening, vggish_names
from extractors.convolutions import by_onednn
from extractors.weights import load_weights
from tests.methods.reference import formula, golden

torch.set_num_threads(1)


def filled(network: nn.Module, prefix: str) -> nn.Module:
    """Give a network the weights that the reference's had."""
    state = network.state_dict()
    network.load_state_dict(
        {n: torch.from_numpy(np.asarray(formula(prefix + n, tuple(t.shape)))) for n, t in state.items()}
    )
    return network.eval()


def input0(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


@pytest.mark.slow
@torch.inference_mode()
def test_c3d(shared: Path) -> None:
    x = golden(shared, "features/c3d_seed0")
    network = by_onednn(filled(C3D(), "c3d."), torch.device("cpu"))  # as it is run
    assert isinstance(network, C3D)
    clips = input0((2, 3, 16, 112, 112))
    maps = network.pooled(clips)
    for number, one in enumerate(maps, 1):
        assert tuple(one.shape) == tuple(x[f"pool{number}_shape"])
        np.testing.assert_allclose(one[0].flatten()[::997][:2048], x[f"pool{number}"], rtol=1e-4, atol=1e-4)
    for layer in ("fc6", "fc7"):
        network.layer = layer
        np.testing.assert_allclose(network(clips), x[f"{layer}_f64"], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_vggish(shared: Path) -> None:
    x = golden(shared, "features/vggish")
    network = filled(VGGish(), "vggish.")
    batch = input0((4, 1, 96, 64))[:, 0]
    np.testing.assert_allclose(network(batch), x["net_embedding_f64"], rtol=1e-4, atol=1e-5)
    from_sound = network(torch.from_numpy(examples(x["wave16k_int16"] / 32768.0)).float())
    np.testing.assert_allclose(from_sound, x["wave16k_embedding_f64"], rtol=1e-4, atol=1e-5)
    quantiser = Quantiser(torch.from_numpy(x["pca_eigen_vectors"]), torch.from_numpy(x["pca_means"]))
    np.testing.assert_array_equal(quantiser(torch.from_numpy(x["net_embedding"])), x["quantised_avca_uint8"])
    quantised = quantiser(torch.from_numpy(x["wave16k_embedding"]))
    np.testing.assert_array_equal(quantised, x["wave16k_quantised"])
    np.testing.assert_allclose(quantised.double().mean(0), x["wave16k_average"], rtol=1e-12)


def test_vggish_examples(shared: Path) -> None:
    x = golden(shared, "features/vggish")
    np.testing.assert_allclose(examples(x["wave16k_int16"] / 32768.0), x["examples16k"], rtol=0, atol=1e-10)


def test_examples_are_whole() -> None:
    for samples, count in ((0, 0), (399, 0), (15_599, 0), (15_600, 1), (30_959, 1), (30_960, 2), (160_000, 10)):
        assert examples(np.zeros(samples)).shape == (count, 96, 64)
    np.testing.assert_allclose(examples(np.zeros(15_600)), np.log(0.01))


@torch.inference_mode()
def test_shapes_and_layers() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = C3D()
        assert [tuple(one.shape[1:]) for one in network.pooled(torch.empty(1, 3, 16, 112, 112))] == [
            (64, 16, 56, 56), (128, 8, 28, 28), (256, 4, 14, 14), (512, 2, 7, 7), (512, 1, 4, 4),
        ]  # fmt: skip
        assert network(torch.empty(2, 3, 16, 112, 112)).shape == (2, 4096)
        vggish = VGGish()
        assert vggish(torch.empty(3, 96, 64)).shape == (3, 128)
    # With the 487 labels' layer that is left out: what the released files hold.
    assert sum(p.numel() for p in network.parameters()) + 487 * 4097 == 79_991_015
    assert sum(p.numel() for p in vggish.parameters()) == 72_141_184


def test_quantiser_truncates_and_clips() -> None:
    quantiser = Quantiser(torch.eye(128), torch.zeros(128))
    values = torch.zeros(1, 128)
    values[0, :4] = torch.tensor([-9.0, 9.0, 0.0, 1.99999])
    assert quantiser(values)[0, :4].tolist() == [0, 255, 127, 254]
    assert torch.equal(Quantiser(torch.eye(128), torch.ones(128), quantised=False)(values), values - 1)


def test_the_sound_is_read_rows_first() -> None:
    """TensorFlow flattens height, width, channels."""
    torch.manual_seed(0)
    network = VGGish().eval()
    first = network.embeddings[0]
    with torch.inference_mode():
        x = torch.rand(1, 96, 64)
        maps = network.features(x[:, None])
        flat = torch.stack([maps[0, c, h, w] for h in range(6) for w in range(4) for c in range(512)])
        torch.testing.assert_close(network(x)[0], network.embeddings[1:](first(flat)), rtol=1e-4, atol=1e-6)


def load(path: Path, template: dict[str, torch.Tensor], **options: object) -> dict[str, torch.Tensor]:
    return load_weights(WeightsConfig(path=str(path)), template, path.parent, vggish_names, **options)[0]  # type: ignore[arg-type]


def test_both_layouts_of_vggish(tmp_path: Path) -> None:
    state = nn.ModuleDict({"features": nn.Conv2d(1, 2, 3), "embeddings": nn.Linear(2, 3)}).state_dict()
    torch.save(state, tmp_path / "a.pth")
    torch.save({name.replace("embeddings.", "fc."): value for name, value in state.items()}, tmp_path / "b.pth")
    for file in ("a.pth", "b.pth"):
        for name, value in load(tmp_path / file, state).items():
            assert torch.equal(value, state[name])
    torch.save({"features.weight": state["features.weight"]}, tmp_path / "c.pth")
    with pytest.raises(DataError, match="lacks 3 of the 4 tensors"):
        load(tmp_path / "c.pth", state)


def test_a_published_name_has_its_published_checksum(tmp_path: Path) -> None:
    state = nn.Linear(2, 3).state_dict()
    path = tmp_path / "vggish-10086976.pth"
    torch.save(state, path)
    digest = sha256_file(path)
    load(path, state, published={path.name: digest})
    with pytest.raises(
        DataError, match=rf"vggish-10086976\.pth.*has sha256 {digest}, the published file of this name aa"
    ):
        load(path, state, published={path.name: "aa"})
    trusted = WeightsConfig(path=str(path), sha256=digest)  # a checksum of one's own decides
    assert load_weights(trusted, state, tmp_path, published={path.name: "aa"})[1] == f"sha256:{digest}"


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 3, 3, 3)}, tmp_path / "c3d.pickle")
    with torch.device("meta"):
        template = C3D().state_dict()
    with pytest.raises(DataError, match=r"c3d\.pickle.*lacks 19 of the 20 tensors"):
        load(tmp_path / "c3d.pickle", template)


def test_whitening_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors, means = rng.standard_normal((128, 128)), rng.standard_normal(128)
    np.savez(tmp_path / "p.npz", pca_eigen_vectors=vectors, pca_means=means[:, None])
    torch.save({"pca_eigen_vectors": vectors, "pca_means": torch.from_numpy(means)}, tmp_path / "p.pth")
    x = torch.rand(3, 128)
    got = [read_whitening(tmp_path / name, quantised=False)(x) for name in ("p.npz", "p.pth")]
    np.testing.assert_allclose(got[0], (x.numpy() - means) @ vectors.T, rtol=1e-4, atol=1e-4)
    assert torch.equal(*got)
    np.savez(tmp_path / "q.npz", pca_eigen_vectors=vectors[:5], pca_means=means)
    with pytest.raises(DataError, match="no pca_eigen_vectors of 16384 numbers"):
        read_whitening(tmp_path / "q.npz")
    (tmp_path / "r.npz").write_bytes(b"no")
    with pytest.raises(DataError, match=r"r\.npz"):
        read_whitening(tmp_path / "r.npz")
