"""The models here are written by this file, from the layout that facebookresearch/fastText documents in its source."""

import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from avzsl.embeddings import embed_classes
from avzsl.embeddings.fasttext import FastText, fnv1a, ngrams
from avzsl.pretrained.word_vectors import read_table

WORDS = ["</s>", "dog", "größe", "gone"]
DIM, BUCKET = 5, 97


def write_model(
    path: Path,
    *,
    version: int = 12,
    model: int = 2,
    bucket: int = BUCKET,
    minn: int = 3,
    maxn: int = 6,
    pruned: int = -1,
    quantised: bool = False,
    labels: int = 0,
) -> np.ndarray:
    matrix = np.random.default_rng(0).standard_normal((len(WORDS) + bucket, DIM)).astype("<f4")
    content = struct.pack("<2i", 793712314, version)
    content += struct.pack("<12i", DIM, 5, 1, 1, 5, 1, 2, model, bucket, minn, maxn, 100) + struct.pack("<d", 1e-4)
    content += struct.pack("<3i2q", len(WORDS) + labels, len(WORDS), labels, 10, pruned)
    for word in WORDS:
        content += word.encode() + b"\0" + struct.pack("<qb", 3, 0)
    for label in range(labels):
        content += f"__label__{label}".encode() + b"\0" + struct.pack("<qb", 3, 1)
    content += struct.pack("<?2q", quantised, *matrix.shape) + matrix.tobytes()
    path.write_bytes(content + b"\0" + struct.pack("<2q", 0, 0))
    return matrix


def classes(*phrases: str) -> pd.DataFrame:
    return pd.DataFrame({"class_name": list(phrases), "phrase": list(phrases)})


def test_hash_is_fnv1a_with_signed_bytes() -> None:
    # The published test vectors of 32-bit FNV-1a, for ASCII.
    assert [fnv1a(s) for s in (b"", b"a", b"foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]
    # For other bytes fastText's cast to int8 flips the upper 24 bits as well.
    assert fnv1a(b"\xc3") == ((2166136261 ^ 0xFFFFFFC3) * 16777619) % 2**32 != ((2166136261 ^ 0xC3) * 16777619) % 2**32


def test_ngrams_are_of_characters_and_leave_out_lone_marks() -> None:
    assert ngrams("ab", 3, 6) == [b"<ab", b"<ab>", b"ab>"]
    assert ngrams("ß", 1, 2) == ["<ß".encode(), "ß".encode(), "ß>".encode()]
    assert b"y E" in ngrams("Apply Eye", 3, 3)
    assert ngrams("ab", 0, 1) == [b"a", b"b"]


@pytest.mark.parametrize("labels", [0, 2])
def test_known_words_and_whole_phrases(tmp_path: Path, labels: int) -> None:
    matrix = write_model(tmp_path / "m.bin", labels=labels)

    def rows(token: str) -> list[int]:
        return [len(WORDS) + fnv1a(gram) % BUCKET for gram in ngrams(token, 3, 6)]

    with FastText(tmp_path / "m.bin", ["dog", "größe", "Apply Eye", "__label__0"]) as model:
        np.testing.assert_allclose(model.vector("dog"), matrix[[1, *rows("dog")]].mean(0), atol=1e-6)
        np.testing.assert_allclose(model.vector("größe"), matrix[[2, *rows("größe")]].mean(0), atol=1e-6)
        np.testing.assert_allclose(model.vector("Apply Eye"), matrix[rows("Apply Eye")].mean(0), atol=1e-6)
        # A label is no word: it has n-grams, but no row of its own.
        np.testing.assert_allclose(model.vector("__label__0"), matrix[rows("__label__0")].mean(0), atol=1e-6)


def test_classes_keep_their_capitals_unless_told(tmp_path: Path) -> None:
    write_model(tmp_path / "m.bin")
    table = str(tmp_path / "m.bin")
    kept = embed_classes(classes("Apply Eye", "apply eye"), EmbeddingsConfig(backend="fasttext", table=table))
    lowered = embed_classes(
        classes("Apply Eye", "apply eye"), EmbeddingsConfig(backend="fasttext", table=table, lowercase=True)
    )
    np.testing.assert_allclose(np.linalg.norm(kept.vectors, axis=1), 1, atol=1e-6)
    assert not np.allclose(kept.vectors[0], kept.vectors[1])
    np.testing.assert_array_equal(lowered.vectors[0], kept.vectors[1])
    np.testing.assert_array_equal(lowered.vectors[1], kept.vectors[1])


def test_a_model_without_ngrams_knows_only_its_words(tmp_path: Path) -> None:
    table = str(tmp_path / "m.bin")
    for options in ({"bucket": 0, "maxn": 0, "minn": 0}, {"version": 11, "model": 3}):
        matrix = write_model(tmp_path / "m.bin", **options)
        made = embed_classes(
            classes("dog", "dog bark"), EmbeddingsConfig(backend="fasttext", table=table, unknown="skip")
        )
        np.testing.assert_allclose(made.vectors[0], matrix[1] / np.linalg.norm(matrix[1]), atol=1e-6)
        assert list(made.missing) == ["dog bark"]
        with pytest.raises(AvzslError, match=r"no vector for the words of 1 of 1 classes: 'dog bark'"):
            embed_classes(classes("dog bark"), EmbeddingsConfig(backend="fasttext", table=table))


def test_broken_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    for options, message in (
        ({"version": 13}, "version 13"),
        ({"quantised": True}, "quantised"),
        ({"pruned": 3}, "pruned"),
    ):
        write_model(path, **options)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=message):
            FastText(path, ["dog"])
    write_model(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 17, 41):  # the input vectors end 17 bytes before the file
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            FastText(path, ["dog"])
    # Every single field of the header may lie; either it is refused, or vectors of the promised length come out.
    for at in range(4, 100, 4):
        path.write_bytes(whole[:at] + struct.pack("<i", 2**31 - 1) + whole[at + 4 :])
        try:
            with FastText(path, ["dog"]) as model:
                assert model.vector("dog").shape == (DIM,)  # type: ignore[union-attr]
        except DataError:
            pass


def test_backends_send_each_others_files_back(tmp_path: Path) -> None:
    write_model(tmp_path / "m.bin")
    (tmp_path / "v.txt").write_text("dog 1 2\n")
    with pytest.raises(ConfigError, match=r"embeddings\.backend: fasttext reads it"):
        read_table(tmp_path / "m.bin", {"dog"})
    with pytest.raises(DataError, match="not a fastText model"):
        FastText(tmp_path / "v.txt", ["dog"])
    (tmp_path / "empty.bin").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        FastText(tmp_path / "empty.bin", ["dog"])
