"""The notebook's own cells run from the first to the last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def first_cell(folder: Path, repository: str) -> subprocess.CompletedProcess[str]:
    """Run the first cell, as a hosted service does that opens the notebook alone; print where it ends."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cell = next("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert cell.count('REPOSITORY = ""') == 1
    cell = cell.replace('REPOSITORY = ""', f"REPOSITORY = {repository!r}") + "\nprint(Path.cwd())"
    return subprocess.run(
        [sys.executable, "-m", "IPython", "-c", cell], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "IPYTHONDIR": str(folder / "ipython")},
    )  # fmt: skip


def test_the_notebook_alone_asks_for_the_address_and_clones(tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="IPython is not installed")
    alone = first_cell(tmp_path, "")
    assert "write the address of the repository it came from as REPOSITORY" in alone.stdout + alone.stderr
    origin = tmp_path / "origin"
    (origin / "workflow").mkdir(parents=True)
    (origin / "workflow/Snakefile").write_text("", encoding="utf-8")
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True, timeout=60)
    for _ in range(2):  # a second time the clone is there
        done = first_cell(tmp_path, origin.as_uri())
        assert done.returncode == 0 and done.stdout.rstrip().endswith(str(tmp_path / "avzsl")), done.stdout
    assert first_cell(tmp_path / "avzsl/workflow", "").stdout.rstrip().endswith(str(tmp_path / "avzsl"))


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
