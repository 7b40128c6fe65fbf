"""What a person waits for loads little: the helps, `avzsl check`, and a dry run beyond Snakemake's own imports."""

import subprocess
import sys

import pytest

from avzsl.cli.schema import KINDS
from avzsl.config.load import SHIPPED
from avzsl.config.schema import FILES

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
OTHERS = {"requests", "urllib3", "rich", "jinja2", "yt_dlp"}


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


def test_the_kinds_of_files_are_those_that_have_a_model():
    assert set(KINDS) == set(FILES)
