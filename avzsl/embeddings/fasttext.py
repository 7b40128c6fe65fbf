"""Read fastText models (`.bin`): vectors of any string, from its character n-grams.

The layout and the n-grams are those of facebookresearch/fastText (src/fasttext.cc, args.cc, dictionary.cc, densematrix.cc;
Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017). The file is mapped, not loaded: of the
seven gigabytes of wiki.en.bin, the vocabulary is walked through once and a few thousand rows are read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np

from avzsl.contracts.errors import DataError
from avzsl.pretrained.word_vectors import FASTTEXT_MAGIC

_SUPERVISED = 3
_LONGEST_WORD = 1 << 20
_END_OF_SENTENCE = b"</s>"


class FastText:
    """An open model; a context manager. `vector` gives the vector of a token, whatever its spelling."""

    def __init__(self, path: Path, tokens: Iterable[str]) -> None:
        """Open the model at `path`; `tokens` are the strings that will be asked for.

        Raises DataError if it is not a whole, unquantised fastText model.
        """
        self.path = path
        try:
            with path.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(path, f"cannot be read: {error}") from error
        try:
            self._read({token.encode() for token in tokens})
        except struct.error as error:
            self._map.close()
            raise DataError(path, "ends too early for a fastText model") from error
        except BaseException:
            self._map.close()
            raise

    def __enter__(self) -> FastText:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._matrix
        self._map.close()

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{layout}", self._map, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return values

    def _read(self, tokens: set[bytes]) -> None:
        if self._map[:4] != FASTTEXT_MAGIC:
            raise DataError(
                self.path, "is not a fastText model (.bin); text tables belong to embeddings.backend: table"
            )
        self._at = 4
        (version,) = self._take("i")
        if version not in {11, 12}:
            raise DataError(self.path, f"is a fastText model of version {version}; versions 11 and 12 can be read")
        dim, _, _, _, _, _, _, model, bucket, minn, maxn, _ = self._take("12i")
        self._take("d")  # sampling threshold
        if version == 11 and model == _SUPERVISED:
            maxn = 0  # such models were trained without character n-grams (fasttext.cc, loadModel)
        self.dim, self._bucket, self._minn, self._maxn = dim, bucket, minn, maxn
        entries, self._words, _ = self._take("3i")
        _, pruned = self._take("2q")
        if dim < 1 or bucket < 0 or entries < 0 or self._words < 0 or maxn > 1000:
            raise DataError(self.path, "its header holds impossible sizes")
        if pruned >= 0:
            raise DataError(self.path, "is a pruned model; use the full .bin file")
        self._ids = self._walk_vocabulary(entries, tokens)
        (quantised,) = self._take("?")
        if quantised:
            raise DataError(self.path, "is a quantised model; use the full .bin file")
        rows, columns = self._take("2q")
        whole = len(self._map) - self._at >= 4 * rows * columns
        if columns != dim or rows < self._words or (maxn > 0 and rows != self._words + bucket) or not whole:
            raise DataError(self.path, f"does not hold the {rows} vectors that its header promises; is it whole?")
        self._matrix = np.frombuffer(self._map, "<f4", rows * columns, self._at).reshape(rows, columns)

    def _walk_vocabulary(self, entries: int, tokens: set[bytes]) -> dict[bytes, int]:
        """Find the ids of those `tokens` that are words of the model; entries are `word \\0 int64 count int8 type`."""
        ids: dict[bytes, int] = {}
        at, find = self._at, self._map.find
        for number in range(entries):
            end = find(b"\0", at, at + _LONGEST_WORD)
            if end < 0:
                raise DataError(self.path, f"ends in the middle of its vocabulary, at entry {number} of {entries}")
            word = self._map[at:end]
            if word in tokens and number < self._words:
                ids[word] = number
            at = end + 10
        self._at = at
        return ids

    def vector(self, token: str) -> np.ndarray | None:
        """Return the vector of `token`, (dim,) float32: the mean over its n-grams and, for a known word, its own row.

        None where the model has nothing to say: an unknown word and no n-grams.
        """
        encoded = token.encode()
        rows = [self._ids[encoded]] if encoded in self._ids else []
        if encoded != _END_OF_SENTENCE and self._maxn > 0 and self._bucket > 0:
            rows += [self._words + h % self._bucket for h in map(fnv1a, ngrams(token, self._minn, self._maxn))]
        if not rows:
            return None
        vector = self._matrix[rows].sum(axis=0, dtype=np.float64) / len(rows)
        if not np.isfinite(vector).all():
            raise DataError(self.path, f"the vector of {token!r} holds numbers that are not finite")
        return vector.astype(np.float32)


def ngrams(token: str, minn: int, maxn: int) -> list[bytes]:
    """Return the character n-grams of `<token>`, shortest first at each place; lone `<` and `>` are none.

    Characters are Unicode code points and the n-grams their UTF-8 bytes (dictionary.cc, computeSubwords).
    """
    characters = [c.encode() for c in f"<{token}>"]
    grams = []
    for start in range(len(characters)):
        for n in range(minn, maxn + 1):
            end = start + n
            if end > len(characters):
                break
            if n >= 1 and not (n == 1 and (start == 0 or end == len(characters))):
                grams.append(b"".join(characters[start:end]))
    return grams


def fnv1a(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash as fastText computes it: bytes are sign-extended before they are mixed in."""
    h = 2166136261
    for byte in data:
        h = ((h ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return h
