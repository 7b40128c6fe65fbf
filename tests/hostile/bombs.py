"""Files of some kilobytes that announce gigabytes, each with what reads it. Run as a script: makes and reads all, one JSON line each."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.schemas import SPLIT_CLASSES
from avzsl.contracts.tables import read_table
from avzsl.embeddings.fasttext import FastText
from avzsl.pretrained.checkpoints import fit_state, read_tensors
from avzsl.pretrained.convert import convert
from avzsl.pretrained.word_vectors import FASTTEXT_MAGIC
from avzsl.pretrained.word_vectors import read_table as read_words
from extractors.own import import_own
from extractors.released_features import import_features
from extractors.unpickle import read_feature_pickle
from splits.files import Files

Read = Callable[[], object]
BOMBS: dict[str, Callable[[Path], Read]] = {}
HUGE = 25_000_000_000  # numbers: 191 GB of float64


def bomb(make: Callable[[Path], Read]) -> Callable[[Path], Read]:
    BOMBS[make.__name__] = make
    return make


def zeros_gz(path: Path, begin: bytes, gigabytes: float) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(begin)
        for _ in range(int(gigabytes * 64)):
            stream.write(b"1" * (1 << 24))
    return path


@bomb
def one_line_in_a_table_of_words(folder: Path) -> Read:
    return lambda: read_words(zeros_gz(folder / "t.txt.gz", b"a 1 2\n", 0.6), {"b"})


@bomb
def one_word_in_a_fasttext_model(folder: Path) -> Read:
    path = folder / "m.bin"
    header = FASTTEXT_MAGIC + struct.pack("<i12id3i2q", 12, 5, *[1] * 6, 1, 0, 0, 0, 1, 0.1, 2, 2, 0, 0, -1)
    with path.open("wb") as stream:
        stream.write(header)
        for _ in range(40):
            stream.write(b"x" * (10 << 20))
        stream.write(b"\0" * 10)
    return lambda: FastText(path, ["a"])


def own(folder: Path) -> object:
    pd.DataFrame({"clip_id": ["a"], "class_name": ["x"]}).to_csv(folder / "clips.csv", index=False)
    features = FeaturesConfig.model_validate({"extractor": "selavi", "imported": {"folder": str(folder)}})
    return import_own(folder, "own", features, ["a"], folder / "s.safetensors", folder / "s.parquet")


@bomb
def h5_that_declares_191_gb(folder: Path) -> Read:
    with h5py.File(folder / "features.h5", "w") as file:
        for name in ("audio", "visual"):
            file.create_dataset(f"a/{name}", (HUGE // 1000, 1000), "f8", chunks=(1000, 1000))
    return lambda: own(folder)


@bomb
def h5_whose_one_clip_has_all_rows(folder: Path) -> Read:
    with h5py.File(folder / "features.h5", "w") as file:
        for name in ("audio", "visual"):
            file.create_dataset(name, (HUGE // 1000, 1000), "f8", chunks=(1000, 1000))
            file[f"{name}_offsets"] = [0, HUGE // 1000]
    return lambda: own(folder)


@bomb
def h5_of_compressed_zeros(folder: Path) -> Read:
    with h5py.File(folder / "features.h5", "w") as file:
        for name in ("audio", "visual"):
            made = file.create_dataset(f"a/{name}", (200_000, 500), "f4", chunks=(10_000, 500), compression="gzip")
            for start in range(0, len(made), 10_000):
                made[start : start + 10_000] = 0
    return lambda: own(folder)


@bomb
def released_h5_that_declares_191_gb(folder: Path) -> Read:
    for name in ("audio", "video"):
        path = folder / "features/main_features" / name / "stage_1_train/x.h5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file.create_dataset("data", (HUGE // 1000, 1000), "f8", chunks=(1000, 1000))
            file["video_urls"] = ["a"]
    return lambda: import_features(folder, folder / "s.safetensors", folder / "s.parquet")


@bomb
def npz_of_compressed_zeros(folder: Path) -> Read:
    np.savez_compressed(folder / "a.npz", audio=np.zeros((100, 1_000_000), np.uint8), visual=np.zeros((100, 2)))
    return lambda: own(folder)


@bomb
def npy_that_declares_191_gb(folder: Path) -> Read:
    for name in ("audio", "visual"):
        (folder / name).mkdir()
        with (folder / name / "a.npy").open("wb") as stream:
            header = {"descr": "<f8", "fortran_order": False, "shape": (HUGE,)}
            np.lib.format.write_array_header_1_0(stream, header)
    return lambda: own(folder)


def two(folder: Path, values: np.ndarray) -> Read:
    for name in ("audio", "visual"):
        (folder / name).mkdir()
        np.save(folder / name / "a.npy", values)
    return lambda: own(folder)


@bomb
def features_without_columns(folder: Path) -> Read:
    return two(folder, np.zeros((HUGE, 0), np.float32))


@bomb
def complex_features(folder: Path) -> Read:
    return two(folder, np.ones((2, 3), np.complex64))


def checkpoint(folder: Path, tensor: torch.Tensor, name: str = "w.pt") -> Read:
    path = folder / name
    torch.save({"model": {"w": tensor}}, path)

    def read() -> object:
        try:
            convert(path, folder / "out.safetensors")
        except AvzslError:
            return fit_state(path, read_tensors(path), {"w": torch.zeros(3)})
        raise AssertionError("it was converted")

    return read


@bomb
def sparse_tensor(folder: Path) -> Read:
    return checkpoint(folder, torch.sparse_coo_tensor([[0], [0]], [1.0], (HUGE // 1000, 1000)))


@bomb
def quantised_tensor(folder: Path) -> Read:
    return checkpoint(folder, torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8))


@bomb
def meta_tensor(folder: Path) -> Read:
    return checkpoint(folder, torch.empty(HUGE, device="meta"))


@bomb
def complex_tensor(folder: Path) -> Read:
    return checkpoint(folder, torch.ones(3, dtype=torch.complex64))


@bomb
def repeated_tensor(folder: Path) -> Read:
    return checkpoint(folder, torch.ones(1).expand(HUGE))


@bomb
def compressed_checkpoint(folder: Path) -> Read:
    torch.save({"model": {"w": torch.zeros(60_000_000)}}, folder / "w.pt")
    with zipfile.ZipFile(folder / "w.pt") as old, zipfile.ZipFile(folder / "z.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            with old.open(info) as source, new.open(info.filename, "w") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
    return lambda: read_tensors(folder / "z.pt")


class _Repeats:
    def __reduce__(self) -> object:
        return torch._utils._rebuild_tensor_v2, (torch.ones(1).storage(), 0, (HUGE,), (0,), False, {})


class _Reserves:
    def __reduce__(self) -> object:
        return np.zeros(1).__reduce__()[0], (np.ndarray, (HUGE,), b"d")


def pickled(folder: Path, value: object) -> Read:
    path = folder / "f.pkl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(pickle.dumps([value, [0], value, ["a"]], protocol=4))
    return lambda: np.isfinite(read_feature_pickle(path)["video"]).all()


@bomb
def pickled_tensor_that_repeats_a_number(folder: Path) -> Read:
    return pickled(folder, [_Repeats()])


@bomb
def pickled_array_without_bytes(folder: Path) -> Read:
    return pickled(folder, [_Reserves()])


@bomb
def parquet_of_lists_of_lists(folder: Path) -> Read:
    path = folder / "t.parquet"
    lists = pa.ListArray.from_arrays(pa.array([0, 60_000_000]), pa.nulls(60_000_000, pa.int64()).fill_null(0))
    pq.write_table(pa.table({"class_name": lists, "role": ["seen"], "reason": ["x"], "further": lists}), path)
    del lists
    return lambda: read_table(path, SPLIT_CLASSES)


@bomb
def zipped_list_of_names(folder: Path) -> Read:
    path = folder / "l.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("l.txt", "w") as stream:
        for _ in range(200):
            stream.write(b"\n" * (1 << 20))
    return lambda: Files(path).text("l.txt").splitlines()


def memory(field: str) -> float:
    """Return a number of MB of this process's status."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main(folder: Path) -> None:
    for name, make in BOMBS.items():
        place = folder / name
        place.mkdir()
        read = make(place)
        # The peak begins anew.
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        try:
            said, kind = repr(read())[:200], "none"
        except AvzslError as error:
            said, kind = str(error), "sentence"
        except BaseException as error:
            said, kind = repr(error)[:300], "crash"
        found = {"name": name, "kind": kind, "said": said, "mb": memory("VmHWM") - before}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
