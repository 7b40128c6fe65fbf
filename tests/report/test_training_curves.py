"""Curves of training: what has no loss draws none, and does not flatten the others' lines."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from avzsl.report.leaderboard import Row
from avzsl.report.training import training_figures

TEMPLATES = Path(__file__).resolve().parents[2] / "avzsl/report/templates"


def benchmark(losses: dict[str, list[float]]) -> Any:
    """A benchmark of methods with a run each, of the given losses by epoch."""
    runs = {}
    for method, values in losses.items():
        history = pd.DataFrame(
            {
                "stage": 1,
                "epoch": range(1, len(values) + 1),
                "loss": values,
                "hm": 0.5,
                "selected": False,
                "seconds": 1.0,
            }
        )
        runs[method] = [SimpleNamespace(seed=0, history=history)]
    return SimpleNamespace(name="toy", config=SimpleNamespace(methods=list(losses)), runs=runs.__getitem__)


def test_a_method_in_closed_form_has_no_line_of_loss() -> None:
    loss, hm = training_figures(benchmark({"ridge": [0.0, 0.0], "cjme": [3.0, 1.0]}))
    assert [trace["name"] for trace in loss.data] == ["cjme, stage 1"]
    assert loss.layout["yaxis"]["type"] == "log"
    assert [row[4] for row in loss.rows] == ["", "3.000"]
    assert {trace["name"] for trace in hm.data} >= {"ridge", "cjme"}


def test_without_a_loss_there_is_no_panel_of_it_and_the_table_stays() -> None:
    [hm] = training_figures(benchmark({"ridge": [0.0, 0.0], "nearest-phrase": [0.0]}))
    assert hm.id == "hm-toy"
    assert [row[0] for row in hm.rows] == ["ridge", "nearest-phrase"]


def test_checksums_of_weights_are_cut_and_may_break() -> None:
    row = Row({"weights": f"yamnet sha256:{'ab' * 32}, lite0 sha256:{'cd' * 32}"}, ())
    assert row.weights == "yamnet sha256:abababababab…, lite0 sha256:cdcdcdcdcdcd…"
    rule = re.search(r"\.weights \{[^}]*\}", (TEMPLATES / "report.css").read_text(encoding="utf-8"))
    assert rule is not None and "overflow-wrap: anywhere" in rule.group()


def test_the_caption_says_what_a_spread_is_over() -> None:
    caption = (TEMPLATES / "_leaderboard.html.j2").read_text(encoding="utf-8").split("<p>")[1]
    assert "mean ± standard deviation over seeds, or over class splits" in caption
