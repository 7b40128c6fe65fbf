import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.errors import AvzslError, DataError
from avzsl.embeddings import embed_classes
from avzsl.embeddings.released import read_released

HEADER = io.BytesIO()
np.lib.format.write_array_header_1_0(HEADER, {"descr": "|O", "fortran_order": False, "shape": ()})


def save(path: Path, value: object) -> None:
    np.save(path, np.array(value, dtype=object), allow_pickle=True)


def raw(path: Path, pickled: bytes) -> None:
    path.write_bytes(HEADER.getvalue() + pickled)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_reads_what_numpy_writes(tmp_path: Path, dtype: str) -> None:
    table = {"Apply Eye Makeup": np.arange(4).astype(dtype), "Tai Chi": np.ones(4, dtype)}
    save(tmp_path / "w.npy", table)
    found = read_released(tmp_path / "w.npy")
    assert list(found) == list(table)
    for key, vector in found.items():
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, table[key].astype(np.float32))


def test_phrases_match_whatever_their_case_and_spaces(tmp_path: Path) -> None:
    save(
        tmp_path / "w.npy",
        {"Hand Stand": np.array([3, 4], "f4"), "yo-yo": np.array([0, 1], "f4"), "Yo Yo": np.array([1, 0], "f4")},
    )
    table = pd.DataFrame({"class_name": ["HandStand", "Yo Yo"], "phrase": ["handstand", "Yo Yo"]})
    config = EmbeddingsConfig(backend="released", table=str(tmp_path / "w.npy"))
    made = embed_classes(table, config)
    np.testing.assert_allclose(made.vectors, [[0.6, 0.8], [1, 0]], atol=1e-6)
    for phrase, message in (
        ("yoyo", "may be any of 'Yo Yo', 'yo-yo'"),
        ("sumo", r"no vector for the phrases of 1 of 1 classes: 'x' \('sumo'\): 'sumo'"),
    ):
        with pytest.raises(AvzslError, match=message):
            embed_classes(pd.DataFrame({"class_name": ["x"], "phrase": [phrase]}), config)


class Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_nothing_in_a_file_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    save(tmp_path / "a.npy", {"x": Attack(mark)})
    raw(tmp_path / "b.npy", b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR.")
    raw(tmp_path / "c.npy", b"cbuiltins\neval\n(S'1'\ntR.")
    raw(tmp_path / "d.npy", b"cnumpy\nload\n(S'x'\ntR.")
    for name in "abcd":
        with pytest.raises(DataError, match="wants to load"):
            read_released(tmp_path / f"{name}.npy")
    assert not mark.exists()


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    save(path, {"x": np.ones(3, "f4"), "y": np.ones(3, "f4")})
    whole = path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_released(path)
    for value in ([1, 2], {}, {"x": 1.0}, {1: np.ones(3, "f4")}, {"x": np.ones((2, 2), "f4")}, {"x": np.array([np.nan], "f4")}, {"x": np.ones(3, "i4")},
                  {"x": np.ones(3, "f4"), "y": np.ones(4, "f4")}):  # fmt: skip
        save(path, value)
        with pytest.raises(DataError):
            read_released(path)
    np.save(path, np.ones((3, 3), np.float32))
    with pytest.raises(DataError, match="not a dictionary"):
        read_released(path)
    path.write_text("no array at all")
    with pytest.raises(DataError, match="not a released table"):
        read_released(path)
    # A memo index or a length that asks for gigabytes.
    raw(path, b"\x80\x03Nr\xff\xff\xff\x7f.")
    with pytest.raises(DataError):
        read_released(path)
    raw(path, b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.")
    with pytest.raises(DataError):
        read_released(path)


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    save(path, {"x": np.ones(3, "f4"), "yy": np.ones(3, "f4")})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            for vector in read_released(path).values():
                assert np.isfinite(vector).all()
        except DataError:
            pass


@pytest.mark.parametrize("name,classes", [("ucf", 101), ("activity", 200), ("vggsound", 309)])
def test_the_published_files(shared: Path, name: str, classes: int) -> None:
    path = shared / "data" / "published_word_vectors" / f"word_embeddings_{name}_normed.npy"
    theirs = np.load(path, allow_pickle=True).item()
    ours = read_released(path)
    assert len(ours) == classes and list(ours) == list(theirs)
    for key, vector in ours.items():
        np.testing.assert_array_equal(vector, theirs[key])
        assert vector.shape == (300,) and abs(np.linalg.norm(vector) - 1) < 1e-5
