"""What a person waits for loads little: the helps, `avzsl check`, and a dry run beyond Snakemake's own imports."""

import ast
import gc
import importlib
import subprocess
import sys

import pytest

from avzsl.cli.schema import KINDS
from avzsl.config.load import SHIPPED
from avzsl.config.schema import FILES
from avzsl.runtime.imports import importing
from tests.media.files import write

ARITHMETIC = {
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "torch",
    "torchvision",
    "safetensors",
    "matplotlib",
    "av",
    "openvino",
}
# The first two are a fifth of a second each.
OTHERS = {"requests", "urllib3", "rich", "jinja2", "yt_dlp", "librosa", "numba", "torchaudio"}

TABLES = {"numpy", "pandas", "pyarrow"}
# Nothing that these are asked for needs more; what is not named here, no job may load before its work.
JOBS = {
    "benchmark": TABLES | {"safetensors"},
    "catalog": set(),
    "embeddings": TABLES | {"safetensors"},
    "extract": TABLES | {"safetensors", "torch", "av", "requests", "urllib3"},
    "import_features": TABLES | {"safetensors"},
    "media": TABLES | {"requests", "urllib3", "yt_dlp"},
    "pack": TABLES | {"safetensors"},
    "report": TABLES | {"safetensors", "scipy", "sklearn", "av", "rich", "jinja2"},
    "results": TABLES | {"safetensors", "rich"},
    "run": set(),  # one that another job has made ahead is only moved into its place
    "shards": TABLES,
    "split": TABLES,
    "splits": {"rich"},
    "steps": TABLES | {"safetensors"},
    "tables": TABLES,
    "train_audio_network": TABLES | {"safetensors", "torch"},
    "world": {"numpy", "av"},
}
SCRIPTS = SHIPPED.parent / "workflow" / "scripts"


def loaded(*command):
    """Return the top-level packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], check=False, capture_output=True, text=True, cwd=SHIPPED.parent
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def avzsl(*arguments):
    return loaded("-c", f"from avzsl.cli import main; main({list(arguments)!r})")


@pytest.mark.parametrize("arguments", [("--help",), ("check", "--help"), ("status", "--help"), ("predict", "--help")])
def test_a_help_loads_no_configuration(arguments):
    assert not avzsl(*arguments) & (ARITHMETIC | OTHERS | {"pydantic", "yaml"})


@pytest.mark.parametrize("config", ["config/config.yaml", "config/papers.yaml"])
def test_a_check_loads_the_configuration_alone(config):
    found = avzsl("check", config)
    assert "pydantic" in found
    assert not found & (ARITHMETIC | OTHERS)


def test_a_run_loads_no_library_but_what_training_takes():
    found = loaded("-c", "import avzsl.training.run")
    assert {"torch", "pandas"} <= found
    assert not found & (ARITHMETIC - {"torch", "numpy", "pandas", "pyarrow", "safetensors"}) and not found & OTHERS


def test_a_dry_run_loads_what_snakemake_does_and_the_configuration(tmp_path):
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'a'\n    shell: 'touch a'\n")
    floor = loaded("-m", "snakemake", "-n", "-q", "-s", str(tmp_path / "Snakefile"), "-d", str(tmp_path))
    ours = loaded("-m", "snakemake", "-n", "-q", "-d", str(tmp_path), "--configfile", str(SHIPPED / "config.yaml"))
    assert "avzsl" in ours
    assert not (ours - floor) & (ARITHMETIC | OTHERS)


def imports_of(script):
    """Return what stands in the `importing` block of a script of the workflow, and the other statements of its job."""
    tree = ast.parse((SCRIPTS / f"{script}.py").read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.With)).body
    assert isinstance(body[0], ast.With)
    assert ast.unparse(body[0].items[0]) == "importing()"
    return [node for node in body[0].body if not isinstance(node, ast.If)], body[1:]


@pytest.mark.parametrize("script", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_a_job_loads_what_its_work_takes_and_all_at_once(script):
    imports, work = imports_of(script)
    assert not [node for part in work for node in ast.walk(part) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = loaded("-c", "\n".join(map(ast.unparse, imports)))
    assert found & (ARITHMETIC | OTHERS) <= JOBS[script]


def test_the_page_is_made_without_librosa_and_torch(tmp_path):
    write(tmp_path / "clip.mp4", seconds=1)
    code = f"from avzsl.report.previews import make_preview; make_preview(__import__('pathlib').Path({str(tmp_path / 'clip.mp4')!r}))"
    found = loaded("-c", code)
    assert "av" in found
    assert not found & {"librosa", "numba", "scipy", "torch", "torchaudio"}


def test_no_garbage_is_looked_for_among_what_was_imported(monkeypatch):
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with importing():
        importlib.import_module("colorsys")
    assert frozen == [False]
    assert gc.isenabled()
    with importing():
        importlib.import_module("colorsys")
    assert len(frozen) == 1, "nothing was imported, and what the process holds may be garbage soon"


def test_a_dry_run_looks_for_no_garbage_in_snakemake(tmp_path):
    code = (
        "import gc, sys\nfrom snakemake.cli import main\ntry:\n main(sys.argv[1:])\n"
        "except SystemExit:\n print(gc.get_freeze_count())"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "-n",
        "-q",
        "-d",
        str(tmp_path),
        "--configfile",
        str(SHIPPED / "config.yaml"),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=SHIPPED.parent)
    assert int(done.stdout.split()[-1]) > 10_000


def test_the_kinds_of_files_are_those_that_have_a_model():
    assert set(KINDS) == set(FILES)
