"""Read and write the Parquet tables of `schemas.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import CorruptError, DataError
from avzsl.contracts.schemas import TableSchema


def write_table(path: str | Path, frame: pd.DataFrame, schema: TableSchema) -> None:
    """Write `frame` to `path` under `schema`; columns in schema order, missing nullable ones null.

    Raises DataError if a required column is missing or holds nulls, a value has the wrong type,
    an unknown column is present, or the key is not unique.
    """
    unknown = [c for c in frame.columns if c not in schema.columns]
    if unknown:
        raise DataError(path, f"columns {unknown} are not in the {schema.name} table")
    frame = frame.reset_index(drop=True)
    for column in schema.columns.values():
        if column.name not in frame.columns:
            if column.required:
                raise DataError(path, f"column {column.name!r} of the {schema.name} table is missing")
            frame[column.name] = None
    try:
        table = pa.Table.from_pandas(
            frame[list(schema.columns)], schema=schema.arrow(), preserve_index=False, safe=True
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(path, f"does not fit the {schema.name} table: {error}") from error
    _check(path, table, schema)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_table(path: str | Path, schema: TableSchema, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table written by `write_table` and check it against `schema`.

    With `columns` only these are read and checked: the others cost neither time nor memory.
    Raises DataError that names the file if it is missing, CorruptError if it is not as it was written (every page has a
    checksum) or does not fit, as one of another version does not.
    """
    path = Path(path)
    wanted = schema if columns is None else schema.only(columns)
    if not path.is_file():
        raise DataError(path, f"the {schema.name} table does not exist")
    try:
        stored = pq.ParquetFile(path, page_checksum_verification=True)
        missing = [name for name in schema.columns if name not in stored.schema_arrow.names]
        # Others' columns are not read, and a list of lists may unfold to anything.
        columns = list(wanted.columns if not missing else [])
        nested = [name for name in columns if pa.types.is_nested(stored.schema_arrow.field(name).type)]
        table = stored.read(columns=columns if not nested else [])
    except (pa.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None):  # the disk's fault, not the file's
            raise DataError(path, f"cannot be read ({error})") from error
        raise CorruptError(path, f"is not a readable Parquet file ({error}); delete it and run again") from error
    if nested:
        raise CorruptError(path, f"column {nested[0]!r} holds lists, not single values; delete it and run again")
    if missing:
        raise CorruptError(path, f"columns {missing} of the {schema.name} table are missing; delete it and run again")
    try:
        table = table.select(list(wanted.columns)).cast(wanted.arrow())
    except (pa.ArrowInvalid, ValueError) as error:
        raise CorruptError(path, f"does not fit the {schema.name} table ({error}); delete it and run again") from error
    try:
        _check(path, table, wanted)
    except DataError as error:
        raise CorruptError(path, f"{error.problem}; delete it and run again") from error
    frame = table.to_pandas()
    # Arrow's pool keeps what it frees, twice a table of millions, while its pandas twin is worked on.
    del table
    pa.default_memory_pool().release_unused()
    return frame


def _check(path: str | Path, table: pa.Table, schema: TableSchema) -> None:
    for column in schema.columns.values():
        values = table.column(column.name)
        if column.required and values.null_count:
            raise DataError(path, f"column {column.name!r} holds {values.null_count} empty values")
        if column.values is not None:
            strange = sorted(set(values.drop_null().unique().to_pylist()) - set(column.values))
            if strange:
                raise DataError(path, f"column {column.name!r} holds {strange}; allowed: {list(column.values)}")
    if schema.key and (twice := _twice(table, list(schema.key))) is not None:
        raise DataError(path, f"{twice} appears twice; {list(schema.key)} must be unique")


def _twice(table: pa.Table, key: list[str]) -> dict[str, object] | None:
    """Return the first key that more than one row has; a column of millions is counted without an object a value."""
    if len(key) == 1 and pc.count_distinct(table.column(key[0]), mode="all").as_py() == table.num_rows:
        return None
    counted = table.select(key).group_by(key, use_threads=False).aggregate([([], "count_all")])
    rows: list[dict[str, object]] = counted.filter(pc.field("count_all") > 1).slice(0, 1).select(key).to_pylist()
    return rows[0] if rows else None
