"""Many dry runs in little time: Snakemake and avzsl are imported once, and each dry run is a fork of that process.

Run as a script: reads the arguments of one dry run a line (a JSON list), answers with its exit status and what it said.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Planner:
    """Answers what Snakemake would do in `folder`."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        command = [sys.executable, str(Path(__file__).resolve())]
        self._process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *arguments: str) -> str:
        """Return what `snakemake ARGUMENTS` says; an exit status other than 0 fails the test."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        status, said = json.loads(self._process.stdout.readline())
        assert status == 0, said[-6000:]
        return str(said)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _serve() -> None:
    # What Snakemake and the workflow import while the workflow is read.
    for module in ("avzsl.cli.check", "avzsl.results.project", "avzsl.runtime.devices", "avzsl.runtime.runs", "pandas",
                   "snakemake.api", "snakemake.report", "smart_open", "jinja2", "splits.facts", "avzsl.methods.options.avca",
                   "splits.catalogs.folder", "extractors.selavi", "avzsl.embeddings.backends.table"):  # fmt: skip
        importlib.import_module(module)
    from snakemake import cli

    cli.get_argument_parser()  # Snakemake's search for plugins
    for line in sys.stdin:
        arguments = json.loads(line)
        with tempfile.TemporaryFile("w+") as said:
            child = os.fork()
            if child == 0:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.argv = sys.argv[:1] + arguments
                cli.main(arguments)
                os._exit(99)  # it does not come back
            _, status = os.waitpid(child, 0)
            said.seek(0)
            answer = [os.waitstatus_to_exitcode(status), said.read()]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
