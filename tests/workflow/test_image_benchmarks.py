"""CJME's table 6 by the workflow, on small files of the public layout."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from tests.splits.xlsa17_files import contents, write
from tests.workflow.conftest import ROOT, Run, write_config

METHODS = ["conse-visual", "devise-visual", "sae-visual", "eszsl-visual", "ale-visual", "visual-only"]


def test_image_benchmarks_run_and_fill_table_six(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "data/released/xlsa17/cub", *contents())
    data = yaml.safe_load((ROOT / "config/datasets/cub.yaml").read_text(encoding="utf-8"))
    data["methods"] = {"training": {"epochs": 1, "batches_per_epoch": 2, "batch_size": 16}}
    write_config(tmp_path, "datasets/cub.yaml", data)
    write_config(tmp_path, "config.yaml", {"benchmarks": "cub", "methods": METHODS, "seeds": [0]})
    run("tables")
    table = pd.read_csv(tmp_path / "results/tables/cjme-table-6.csv")
    assert list(table["Method"]) == ["CONSE", "DEVISE", "SAE", "ESZSL", "ALE", "CJME"]
    assert list(table["cub U published"].astype(float)) == [1.6, 23.8, 7.8, 12.6, 23.7, 35.6]
    assert list(table["cub HM published"].astype(float)) == [3.1, 32.8, 13.6, 21.0, 34.4, 30.1]
    assert table["cub S"].astype(float).between(0, 100).all()
    write_config(tmp_path, "config.yaml", {"benchmarks": "cub", "methods": ["avca"], "seeds": [0]})
    refused = run("tables", check=False)
    assert refused.returncode
    assert "avca" in refused.stderr + refused.stdout and "audio" in refused.stderr + refused.stdout
