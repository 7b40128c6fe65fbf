"""JSON records: objects that carry their own checksum, so that an edited or damaged one is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avzsl.contracts.atomic import write_json
from avzsl.contracts.errors import CorruptError, DataError
from avzsl.contracts.hashing import sha256_value

CHECKSUM = "checksum"


def write_record(path: str | Path, value: dict[str, Any]) -> None:
    """Write a JSON object with a checksum of its content, in one step; equal values give equal bytes.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    # What is read back decides: JSON turns tuples into lists and numbers that are keys into text.
    plain = json.loads(json.dumps(value, allow_nan=False))
    write_json(path, {**plain, CHECKSUM: sha256_value(plain)})


def read_record(path: str | Path, checked: bool = True) -> dict[str, Any]:
    """Read a record of `write_record`, without its checksum.

    `checked` False: whatever its checksum says. An object without a checksum, as earlier versions wrote it, is taken as it is.
    Raises DataError if there is no file, CorruptError if it is not as it was written.
    """
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "does not exist; run `snakemake` to build it") from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:
        raise CorruptError(path, f"is not readable JSON ({error}); delete it and run again") from error
    if not isinstance(value, dict):
        raise CorruptError(path, "does not hold a JSON object; delete it and run again")
    checksum = value.pop(CHECKSUM, None)
    if checked and checksum is not None and checksum != sha256_value(value):
        raise CorruptError(path, "has changed since it was written: its checksum is wrong; delete it and run again")
    return value
