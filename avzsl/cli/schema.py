"""`avzsl schema`: what the YAML files may hold, for editors and for people."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

# The keys of `avzsl.config.schema.FILES`, whose models a help text need not wait for.
KINDS = ("config", "dataset", "features", "method")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "schema",
        help="print the JSON schema of a YAML file, for editors",
        description="Print the JSON schema of one kind of YAML file, or write all of them to a folder. An editor that knows "
        "YAML (VS Code, Neovim, PyCharm ...) completes keys, explains them and marks mistakes when a file begins with "
        "'# yaml-language-server: $schema=PATH'. Options of installed third-party parts are included.",
    )
    parser.add_argument("what", nargs="?", choices=KINDS, help="kind of file")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write config.json, dataset.json, ... there")
    parser.add_argument("--tables", action="store_true", help="print Markdown tables of all keys instead")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print or write what was asked for."""

    from avzsl.config.schema import FILES, json_schema, tables
    from avzsl.contracts.atomic import write_text

    if options.write is not None:
        for what, (folder, _) in FILES.items():
            path = options.write / f"{what}.json"
            write_text(path, json.dumps(json_schema(what), indent=1) + "\n")
            sys.stdout.write(f"{path}: for {folder or 'config.yaml'}{'/*.yaml' if folder else ''}\n")
    elif options.tables:
        sys.stdout.write("".join(f"### {title}\n\n{table}\n\n" for title, table in tables().items()))
    elif options.what is not None:
        sys.stdout.write(json.dumps(json_schema(options.what), indent=1) + "\n")
    else:
        sys.stderr.write(f"avzsl schema: name a kind of file ({', '.join(FILES)}), or --write FOLDER\n")
        return 2
    return 0
