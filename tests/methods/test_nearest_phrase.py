import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import small, write
from avzsl.config.load import load_project
from avzsl.contracts.errors import ConfigError
from avzsl.methods import Dims, build, nearest_phrase
from avzsl.methods.nearest_phrase import NearestPhrase, strongest
from avzsl.pretrained.taggers import Tagger
from avzsl.training.run import run

OPTIONS = {"top": 2}


def tagger(label_set: str, names: tuple[str, ...], exclusive: bool) -> Tagger:
    """Feature i is the score of label i."""
    return Tagger(label_set, names, 20 * torch.eye(len(names)), torch.full((len(names),), -10.0), exclusive)


SOUND = tagger("audioset", ("Bark", "Meow", "Rain"), exclusive=False)
PICTURE = tagger("imagenet1k", ("beagle", "tabby", "umbrella"), exclusive=True)
VECTORS = {
    "Bark": [1, 0, 0.1, 0], "beagle": [1, 0.1, 0, 0], "Meow": [0, 1, 0.1, 0], "tabby": [0.1, 1, 0, 0],
    "Rain": [0, 0, 1, 0], "umbrella": [0, 0.1, 1, 0],
}  # fmt: skip
CLASSES = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]])  # dog, cat, rain


class Data:
    classes = CLASSES

    def __init__(self) -> None:
        self.extractor = {"weights": "known"}
        self.named: dict | None = {"audioset": frozenset({"Bark"}), "imagenet1k": frozenset({"beagle"})}

    def phrases(self, phrases):
        return torch.nn.functional.normalize(torch.tensor([VECTORS[p] for p in phrases], dtype=torch.float32), dim=1)


@pytest.fixture(autouse=True)
def taggers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_phrase, "audio_tagger", lambda: SOUND)
    monkeypatch.setattr(nearest_phrase, "visual_tagger", lambda: PICTURE)
    monkeypatch.setattr(nearest_phrase, "weights_identity", lambda: "known")


def fitted(data: Data | None = None, **options: object) -> NearestPhrase:
    method = build("nearest_phrase", Dims(3, 3, 4), {**OPTIONS, **options})
    method.epoch(data or Data(), {}, None)
    return method.eval()


def nearest(method: NearestPhrase, audio: torch.Tensor, visual: torch.Tensor, output: str = "both") -> list[int]:
    return method.distances(audio, visual, CLASSES)[output].argmin(1).tolist()


def test_what_is_heard_and_seen_names_the_clip() -> None:
    assert nearest(fitted(), torch.eye(3), torch.eye(3)) == [0, 1, 2]


def test_one_modality_decides_where_the_other_is_not_there() -> None:
    method, nothing = fitted(), torch.full((3, 3), float("nan"))
    assert nearest(method, torch.eye(3), nothing) == [0, 1, 2]
    assert nearest(method, nothing, torch.eye(3)) == [0, 1, 2]
    assert torch.isfinite(method.distances(nothing, nothing, CLASSES)["both"]).all()


@pytest.mark.parametrize("which,expected", [("audio", [0]), ("visual", [1])])
def test_modalities(which: str, expected: list[int]) -> None:
    assert nearest(fitted(modalities=which), torch.eye(3)[:1], torch.eye(3)[1:2]) == expected


def test_without_the_labels_that_name_a_class_it_is_lost() -> None:
    method = fitted()
    assert nearest(method, torch.eye(3), torch.eye(3), "unnamed")[1:] == [1, 2]
    points = method.points(torch.eye(3)[:1], torch.eye(3)[:1], unnamed=True)
    assert not torch.allclose(points, method.points(torch.eye(3)[:1], torch.eye(3)[:1]))


def test_no_figure_without_a_comparison() -> None:
    data = Data()
    data.named = None
    assert set(fitted(data).distances(torch.eye(3), torch.eye(3), CLASSES)) == {"both"}


def test_only_the_strongest_labels_count() -> None:
    likely = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    torch.testing.assert_close(strongest(likely, 1), torch.tensor([[0.5, 0, 0], [0, 0, 0.8]]))
    without = torch.tensor([True, False, False])
    torch.testing.assert_close(strongest(likely, 1, without), torch.tensor([[0, 0.3, 0], [0, 0, 0.8]]))
    assert strongest(likely, 99).equal(likely)


def test_features_of_other_weights_are_refused() -> None:
    data = Data()
    data.extractor = {"name": "selavi", "weights": "random:0"}
    with pytest.raises(ConfigError, match="needs the features of the extractor pretrained"):
        fitted(data)


class Rainless(Data):
    """There is no vector for one of the labels."""

    def phrases(self, phrases):
        found = super().phrases(phrases)
        return torch.where(torch.tensor([p == "Rain" for p in phrases])[:, None], 0.0, found)


def test_every_number_from_its_definition() -> None:
    data, rng = Rainless(), np.random.default_rng(0)
    method = fitted(data)
    features = {"audio": rng.random((5, 3)), "visual": rng.random((5, 3))}
    features["visual"][4] = np.nan
    given = [torch.from_numpy(part).float() for part in features.values()]
    known, kept, labels = [], {}, {}
    points = {False: np.zeros((5, 4)), True: np.zeros((5, 4))}
    for (name, x), one in zip(features.items(), (SOUND, PICTURE), strict=True):
        vectors = data.phrases(one.names).double().numpy()
        there = vectors.any(1)
        known.append(vectors[there])
        labels[name] = np.where(there[:, None], vectors - vectors[there].mean(0), 0)
        scores = np.exp(20 * x - 10)
        likely = scores / (1 + scores) if name == "audio" else scores / scores.sum(1, keepdims=True)
        for unnamed in (False, True):
            some = np.where([unnamed and n in ("Bark", "beagle") for n in one.names], 0.0, likely)
            top = np.where(some >= np.sort(some, 1)[:, 1:2], some, 0.0)  # the two largest of three
            points[unnamed] += np.nan_to_num(top) @ labels[name]
            kept[name, unnamed] = top
    mean = np.concatenate(known).mean(0)
    targets = CLASSES.double().numpy() - mean
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(method.points(*given), points[False], **close)
    embedded = method.embed(*given, CLASSES)
    np.testing.assert_allclose(embedded["both"], points[False], **close)
    np.testing.assert_allclose(embedded["classes"], targets, **close)
    found = method.distances(*given, CLASSES)
    for unnamed, name in ((False, "both"), (True, "unnamed")):
        of = points[unnamed]
        cosine = of @ targets.T / np.linalg.norm(of, axis=1)[:, None] / np.linalg.norm(targets, axis=1)
        np.testing.assert_allclose(found[name], 1 - cosine, **close)
    for clip in (0, 4):
        said = method.evidence(*(part[clip : clip + 1] for part in given), CLASSES[1], 5)
        assert set(said) == ({"audio", "visual"} if clip == 0 else {"audio"})
        for name, rows in said.items():
            share = kept[name, False][clip] * (labels[name] @ targets[1])
            order = [int(i) for i in np.argsort(-share) if share[i] > 0]
            assert [place for place, _ in rows] == order
            assert [p for _, p in rows] == pytest.approx([kept[name, False][clip][i] for i in order], rel=1e-4)
        assert len(method.evidence(*(part[clip : clip + 1] for part in given), CLASSES[1], 1)["audio"]) <= 1


def test_a_saved_model_is_the_same() -> None:
    method = fitted()
    other = build("nearest_phrase", Dims(3, 3, 4), OPTIONS)
    other.load_state_dict(method.state_dict())
    a, b = (m.distances(torch.eye(3), torch.eye(3), CLASSES)["both"] for m in (method, other.eval()))
    assert a.equal(b)


def test_a_run_of_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through both stages; phrases are embedded as the classes were, and other features than the taggers' are refused."""
    counts, vectors = small((6, 3, 3), clips=5, dim=8)
    files = write(tmp_path / "in", counts, vectors, dims=(3, 3), noise=0.2)
    assemble(files.split, files.pack, [], files.embeddings, tmp_path / "b")
    data = {"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}}
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/toy.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"benchmarks": {"toy": {"dataset": "toy"}}, "methods": ["nearest-phrase"], "seeds": [0]})
    )
    project = load_project(tmp_path / "config.yaml")
    benchmark = project.benchmarks["toy"]
    arguments = (
        tmp_path / "b",
        files.pack[0],
        files.embeddings,
        project.method("nearest-phrase", benchmark),
        benchmark,
        0,
    )
    with pytest.raises(ConfigError, match="needs the features"):
        run(*arguments, tmp_path / "out", device="cpu")
    from avzsl.training import sampling

    record = json.loads((tmp_path / "b/benchmark.json").read_text())
    monkeypatch.setattr(nearest_phrase, "weights_identity", lambda: (record.get("extractor") or {}).get("weights"))
    rng = np.random.default_rng(0)
    asked: list[tuple[str, ...]] = []

    def phrases(names: tuple[str, ...], identity: dict) -> np.ndarray:
        asked.append(names)
        return rng.standard_normal((len(names), 8)).astype(np.float32)

    monkeypatch.setattr(sampling, "embed_phrases", phrases)
    run(*arguments, tmp_path / "out", device="cpu")
    result = json.loads((tmp_path / "out/run.json").read_text())
    assert 0 <= result["hm"] <= 100
    assert asked == [SOUND.names, PICTURE.names]  # once, for both stages
