"""No file that a run writes holds what was secret: every file is searched, Snakemake's own records too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.small import small_environment, snakefile, write_small

SECRETS = ("us3r-name", "p4ss-word", "qu3ry-value", "h3ader-value", "env-v4lue")


@pytest.mark.timeout(300)
def test_no_file_of_a_run_holds_a_secret(tmp_path: Path) -> None:
    write_small(tmp_path, shards=1)
    path = tmp_path / "config/datasets/small.yaml"
    dataset = yaml.safe_load(path.read_text(encoding="utf-8"))
    # Nobody answers at port 9, so that every failure is written down; the folder has the clips.
    source = {
        "kind": "http", "url": "http://us3r-name:p4ss-word@127.0.0.1:9/{path}?key=qu3ry-value&t=$AVZSL_TEST_TOKEN",
        "headers": {"X-Key": "h3ader-value"}, "pace": {"attempts": 1, "backoff_s": 0}, "respect_opt_out": False,
    }  # fmt: skip
    dataset["sources"] = [source, {"kind": "folder", "root": "videos"}]
    path.write_text(yaml.safe_dump(dataset), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "1", "all_media"],
        cwd=tmp_path, env={**small_environment(), "AVZSL_TEST_TOKEN": "env-v4lue"}, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert not [secret for secret in SECRETS if secret in said]
    # Snakemake names records after base64 of paths; contents are what is searched.
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file != path]
    found = [(str(file), s) for file in files for s in SECRETS if s.encode() in file.read_bytes()]
    assert len(files) > 20 and not found, found
