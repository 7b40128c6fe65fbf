"""Numbers of the project's own making, kept beside it: `python -m tests.goldens.make [AREA ...]` makes them anew.

The code they come from was compared with outputs of the released implementations first, so they hold what that showed
for anyone who has the project alone. Inputs come from seeds. Remake an area only when its numbers are meant to change,
and say in the commit why.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

AREAS = ("evaluation", "methods", "networks", "selavi", "splits", "training")
HERE = Path(__file__).parent


def cases(area: str) -> list[str]:
    """Return the names of the cases of an area that are made one by one; none where all are made at once."""
    return list(getattr(importlib.import_module(f"tests.goldens.{area}"), "cases", dict)())


def made(area: str, case: str | None = None) -> Any:
    """Return the numbers of one area, or of one of its cases, as JSON has them."""
    module = importlib.import_module(f"tests.goldens.{area}")
    values = module.values() if case is None else module.values(case)
    return json.loads(json.dumps(values, allow_nan=False))


def stored(area: str) -> Any:
    """Return the numbers of one area that are kept."""
    return json.loads((HERE / f"{area}.json").read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], metavar="AREA", help=", ".join(AREAS))
    for area in parser.parse_args().areas or AREAS:
        text = (
            "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made(area).items()) + "\n}\n"
        )
        (HERE / f"{area}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
