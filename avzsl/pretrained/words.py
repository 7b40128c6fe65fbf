"""Phrases as words."""

from __future__ import annotations

import re
import unicodedata

_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b", re.IGNORECASE)
# They join or part the shapes of letters inside a word (Unicode 9.2, 12.1, 23.2), and are nothing at its ends.
_JOINERS = "\u200c\u200d"


def words_of(phrase: str, *, lowercase: bool) -> list[str]:
    """Return the words of a phrase in order: runs of letters and digits with their marks, without a possessive 's.

    "Rock-climbing, dog's bark" has the words rock, climbing, dog and bark. Words are in Unicode's composed form (NFC), as
    word vectors are; vowel signs and accents that no composed letter holds stay with their letter (Hindi, Thai, Arabic).
    """
    text = unicodedata.normalize("NFC", phrase)
    text = _POSSESSIVE.sub("", text)
    if lowercase:
        text = unicodedata.normalize("NFC", text.lower())
    spaced = "".join(c if _in_word(c) else " " for c in text)
    words = (word.strip(_JOINERS) for word in spaced.split())
    return [word for word in words if any(c.isalnum() for c in word)]


def is_foreign(phrase: str) -> bool:
    """Whether a phrase has letters, but no three in a row that an encoder of English (MiniLM) could read."""
    return not re.search(r"[A-Za-z]{3}", phrase) and re.search(r"[^\W\d_A-Za-z]", phrase) is not None


def _in_word(character: str) -> bool:
    return character.isalnum() or character in _JOINERS or unicodedata.category(character)[0] == "M"
