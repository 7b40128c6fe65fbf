"""Read every table and array below a folder and say which are not as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import CorruptError, DataError
from avzsl.runtime.progress import progress


def corrupt_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the corrupt files below `folder`, each with what is wrong, in the order of their names."""
    paths = sorted(path for pattern in ("*.parquet", "*.safetensors") for path in folder.rglob(pattern))
    with progress("verify", len(paths), "files") as ticker:
        for path in paths:
            if problem := _problem(path):
                yield path, problem
            ticker.advance()


def _problem(path: Path) -> str | None:
    try:
        if path.suffix == ".parquet":
            pq.ParquetFile(path, page_checksum_verification=True).read()
        else:
            read_arrays(path)
    except CorruptError as error:
        return error.problem
    except DataError:  # a model, which has no header of ours, or a file that has gone meanwhile
        return None
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        return str(error)
    return None
