"""Phrases as words."""

from __future__ import annotations

import re

# Letters and digits of any script; everything else separates words.
_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b", re.IGNORECASE)


def words_of(phrase: str, *, lowercase: bool) -> list[str]:
    """Return the words of a phrase in order: runs of letters and digits, without a possessive 's.

    "Rock-climbing, dog's bark" has the words rock, climbing, dog and bark.
    """
    text = _POSSESSIVE.sub("", phrase)
    return _WORD.findall(text.lower() if lowercase else text)
