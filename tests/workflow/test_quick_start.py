"""The notebook's own cells run from the first to the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avzsl.pretrained.wheels import missing
from tests.workflow.checkout import checkout_environment, copy_checkout
from tests.workflow.conftest import ROOT

NOTEBOOK = ROOT / "docs/quick-start.ipynb"


def test_the_notebook_holds_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count") and not cell["metadata"]
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    if missing():
        pytest.skip(f"the extra [pretrained] is not installed: {missing()}")
    copy = copy_checkout(tmp_path / "avzsl")
    for name, value in checkout_environment(copy).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(copy)}}
    ).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "nearest-phrase" in said and "GPU:" in said and "chance" in said
    assert (copy / "results/report/index.html").is_file()
    assert len((copy / "results/benchmark.csv").read_text().splitlines()) == 3
