"""The benchmark's data card as Croissant JSON-LD (MLCommons, version 1.1)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from avzsl import __version__
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.schemas import BENCHMARK_CLASSES, BENCHMARK_CLIPS, TableSchema
from avzsl.report.results import BenchmarkFiles

# The context that the specification prints; validators compare it word by word.
CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "prov": "http://www.w3.org/ns/prov#", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
TYPES = {pa.string(): "sc:Text", pa.int64(): "sc:Integer", pa.float64(): "sc:Float", pa.bool_(): "sc:Boolean"}


def croissant(benchmark: BenchmarkFiles, dataset: DatasetConfig, folder: Path) -> dict[str, Any]:
    """Return the data card of one benchmark; files are named relative to `folder`, where the card is to lie."""
    config = benchmark.config
    clips = benchmark.clips
    tables = (("clips", BENCHMARK_CLIPS), ("classes", BENCHMARK_CLASSES))
    split = benchmark.record.hashes.split or "unknown"
    title = dataset.title or config.dataset
    weights = " The features come from networks with random weights." if benchmark.random_weights else ""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"avzsl-{config.name}",
        "description": (
            f"Audio-visual generalised zero-shot learning benchmark {config.name}: {title}, split {config.split}, "
            f"features {config.features}; {int(clips['usable'].sum())} of {len(clips)} listed clips could be used.{weights}"
        ),
        "version": __version__,
        "license": dataset.licence or "unknown: see the source of each clip",
        "url": f"urn:sha256:{split}",
        "citeAs": f"avzsl {__version__}, benchmark {config.name}, split sha256 {split}",
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": f"{name}.parquet", "name": f"{name}.parquet", "description": f"One row: {schema.row}.",
                "contentUrl": os.path.relpath(benchmark.folder / f"{name}.parquet", folder),
                "encodingFormat": "application/x-parquet", "sha256": sha256_file(benchmark.folder / f"{name}.parquet"),
            }
            for name, schema in tables
        ],
        "recordSet": [_records(name, schema) for name, schema in tables],
    }  # fmt: skip


def _records(name: str, schema: TableSchema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": f"One row: {schema.row}.",
        "key": {"@id": f"{name}/{schema.key[0]}"},
        "field": [
            {
                "@type": "cr:Field", "@id": f"{name}/{column.name}", "name": column.name, "description": column.about,
                "dataType": TYPES[column.type],
                "source": {"fileObject": {"@id": f"{name}.parquet"}, "extract": {"column": column.name}},
            }
            for column in schema.fields
        ],
    }  # fmt: skip
