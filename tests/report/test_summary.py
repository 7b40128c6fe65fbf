from __future__ import annotations

import logging
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from avzsl.config.load import load_project
from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import BENCHMARK_CLIPS, RUNS
from avzsl.contracts.tables import read_table, write_table
from avzsl.published import for_benchmark
from avzsl.report import build, collect, summarise, terminal_table
from tests.report.world import World, make_world


def test_tables_are_written_and_agree(world: World) -> None:
    summary = summarise(world.project, world.results)
    runs = pd.read_csv(world.results / "runs.csv")
    table = pd.read_csv(world.results / "benchmark.csv")
    assert list(runs.columns) == list(RUNS.columns)
    assert len(runs) == 2 * 2 * 3
    assert len(table) == 4
    row = table.query("benchmark == 'toy' and method == 'avca'").iloc[0]
    seeds = runs.query("benchmark == 'toy' and method == 'avca'")
    for metric in ("seen", "unseen", "hm", "zsl"):
        assert row[f"{metric}_mean"] == pytest.approx(seeds[metric].mean(), abs=1e-3)
        assert row[f"{metric}_std"] == pytest.approx(seeds[metric].std(), abs=1e-3)
    for metric in ("unseen", "zsl"):
        assert row[f"{metric}_total_low"] <= row[f"{metric}_low"] <= row[f"{metric}_mean"]
        assert row[f"{metric}_mean"] <= row[f"{metric}_high"] <= row[f"{metric}_total_high"]
    # A seen class has test clips of one source, which says nothing of how sources differ.
    assert row[["seen_low", "hm_low", "seen_total_high", "hm_total_high"]].isna().all()
    assert row["zsl_chance"] == pytest.approx(100 / 3, abs=1e-3)
    assert row["random_weights"]
    assert 0 < row["clips_used"] < row["clips_listed"]
    summarise(world.project, world.results, "toy")
    own = pd.read_csv(world.results / "benchmarks" / "toy" / "results.csv")
    assert list(own["method"]) == ["avca", "cjme"]
    assert len(summary.table) == 4


def test_same_results_give_the_same_bytes(world: World) -> None:
    summarise(world.project, world.results)
    before = (world.results / "benchmark.csv").read_bytes()
    summarise(world.project, world.results)
    assert (world.results / "benchmark.csv").read_bytes() == before


def test_terminal_table_says_chance_and_random_weights(world: World) -> None:
    text = terminal_table(summarise(world.project, world.results), width=160)
    assert "chance" in text
    assert "33.33" in text
    assert "RANDOM WEIGHTS" in text
    assert "±" in text
    row = collect(world.project, world.results).table.iloc[0]
    assert f"{row['zsl_total_low']:.1f} to {row['zsl_total_high']:.1f}" in text
    assert "too few clips for an interval: toy (S, HM)" in text


def test_names_in_the_table_are_never_cut(world: World) -> None:
    summary = summarise(world.project, world.results)
    summary.table["method"] = "a-variant-with-a-long-name-" + summary.table["method"]
    names = [str(name) for name in summary.table["method"]]
    text = terminal_table(summary)
    assert all(name in text for name in names)
    folded = terminal_table(summary, width=90)
    assert max(map(len, folded.splitlines())) <= 90
    assert "…" not in text + folded


def test_a_missing_run_is_one_sentence_with_its_file(tmp_path) -> None:
    world = make_world(tmp_path)
    lost = world.results / "benchmarks" / "toy" / "runs" / "cjme" / "seed-1" / "predictions.parquet"
    lost.unlink()
    with pytest.raises(DataError, match="seed-1"):
        summarise(world.project, world.results)


def test_a_run_that_contradicts_its_predictions_is_named(tmp_path, caplog) -> None:
    world = make_world(tmp_path)
    path = world.results / "benchmarks" / "toy" / "runs" / "avca" / "seed-0" / "run.json"
    path.write_text('{"hm": 99.9, "beta": 0.4, "epoch": 5, "seconds": 1.0}')
    with caplog.at_level(logging.WARNING):
        summarise(world.project, world.results)
    assert "says HM 99.90" in caplog.text


def test_published_numbers_belong_to_the_same_data_set_features_and_split() -> None:
    published = SplitConfig(flavour="published", classes="ucf")
    found = next(row for row in for_benchmark("ucf", "selavi-as-released", published, False) if row.method == "avca")
    assert (found.seen, found.unseen, found.hm, found.zsl) == (51.53, 18.43, 27.15, 20.01)
    assert not for_benchmark("ucf", "selavi", published, random_weights=True)
    assert not for_benchmark("ucf", "selavi-random", published, False)
    assert not for_benchmark("ucf", "selavi", SplitConfig(flavour="source_disjoint", classes="ucf"), False)
    assert not for_benchmark("demo", "selavi", published, False)


def test_the_tables_need_no_torch() -> None:
    code = "import sys, avzsl.report as r; r.summarise, r.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_papers_number_stands_beside_ours(world: World, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = for_benchmark("ucf", "selavi", SplitConfig(flavour="published", classes="ucf"), False)
    monkeypatch.setattr("avzsl.report.summary.for_benchmark", lambda *_: rows)
    row = collect(world.project, world.results).table.iloc[0]
    assert row["hm_published"] == 27.15
    assert "CVPR 2022, table 2" in row["published_source"]
    build(world.project, world.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    gap = row["hm_mean"] - 27.15
    assert f"paper 27.15 ({gap:+.2f}; {gap / row['hm_std']:+.1f} sd)" in page


def test_collecting_writes_nothing(tmp_path) -> None:
    world = make_world(tmp_path)
    collect(world.project, world.results)
    assert not (world.results / "runs.csv").exists()


def test_a_split_that_validates_on_the_classes_it_tests_says_so_wherever_its_numbers_stand(tmp_path) -> None:
    world = make_world(tmp_path)
    path = world.results / "benchmarks" / "toy" / "clips.parquet"
    clips = read_table(path, BENCHMARK_CLIPS)
    first = clips[(clips["subset"] == "test_unseen") & clips["usable"]].groupby("class_name").head(1).index[:2]
    clips.loc[first, "subset"] = "val_unseen"
    write_table(path, clips, BENCHMARK_CLIPS)
    summary = summarise(world.project, world.results)
    assert list(summary.table["classes_validated_and_tested"]) == [2, 2, 0, 0]
    words = "toy: 2 of the 3 classes tested as unseen are those that it validates on"
    assert words in " ".join(terminal_table(summary).split())
    build(world.project, world.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "2 of the 3 classes tested as unseen are those that it validates on" in page
    assert page.count("validated on tested classes") == 4, "at both methods of this benchmark, also between presets"
    assert page.split('data-benchmark="toy"')[1].count("<strong>Not zero-shot.</strong>") == 1


def test_one_seed_has_an_interval_over_clips_that_is_called_so(tmp_path) -> None:
    make_world(tmp_path)
    path = tmp_path / "config" / "config.yaml"
    path.write_text(
        yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), "seeds": [0]}), encoding="utf-8"
    )
    project = load_project(path)
    summary = collect(project, tmp_path / "results")
    row = summary.table.iloc[0]
    text = terminal_table(summary)
    assert f"{row['zsl_low']:.1f} to {row['zsl_high']:.1f} clips only" in text
    build(project, tmp_path / "results", tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f"{row['zsl_low']:.1f}–{row['zsl_high']:.1f} clips only" in page
    assert "†</button>" not in page
