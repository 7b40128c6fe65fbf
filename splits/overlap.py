"""Which classes does a pre-training label set already hold?

Four rules, each a kind of evidence: `exact` (the same words, whatever their order and ending), `word` (the label
is named inside the class name), `alias` (our reviewed table of names that mean the same or a kind of the same),
`embedding` (cosine of the two phrases above a threshold; CJME section 4 takes 0.8 in a word2vec space).
"""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd
import snowballstemmer

from avzsl.config.splits import OverlapConfig
from avzsl.pretrained.label_sets import LABEL_SETS, labels_of
from splits.vectors import phrase_vectors

COLUMNS = ["class_name", "label_set", "label", "kind", "evidence"]
# Words that say nothing about which activity it is; without them "playing the flute" and "flute" agree.
STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "off",
        "on",
        "or",
        "out",
        "s",
        "the",
        "to",
        "up",
        "with",
    ]
)
GENERIC = frozenset(["do", "peopl", "person", "play", "someth", "use"])

# Label sets say the same few thousand words again and again.
_stem = cache(snowballstemmer.stemmer("english").stemWord)


def find_overlap(classes: pd.DataFrame, label_sets: dict[str, list[str]], config: OverlapConfig) -> pd.DataFrame:
    """Return every overlap of `classes` (class_name, phrase) with `label_sets` (name -> labels).

    The table has one row per class, label and kind (class_name, label_set, label, kind, evidence), sorted, under
    the rules that `config` names. Raises ConfigError if the rule `embedding` cannot read its vectors.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    pairs = list(zip(classes["class_name"], classes["phrase"], strict=True))
    for name, labels in label_sets.items():
        if name in LABEL_SETS and labels == [label.name for label in labels_of(name)]:
            from splits.tagged import tagged_classes  # it compares names with this module's functions

            found = tagged_classes(classes, [name])
            rows += found[found["kind"].isin(config.rules)].itertuples(index=False, name=None)
            if "embedding" in config.rules and config.vectors is not None:
                rows += _similar(pairs, name, labels, config.vectors, config.threshold)
            continue
        forms = [(label, form) for label in labels for form in label_forms(label)]
        for class_name, phrase in pairs:
            for own in dict.fromkeys((phrase, class_name)):
                for label, form in forms:
                    same = compare(own, label, form)
                    if same is not None and same[0] in config.rules:
                        rows.append((class_name, name, label, *same))
        if "alias" in config.rules:
            rows += _aliased(pairs, name, labels)
        if "embedding" in config.rules and config.vectors is not None:
            rows += _similar(pairs, name, labels, config.vectors, config.threshold)
    frame = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(COLUMNS[:4])
    return frame.sort_values(COLUMNS, ignore_index=True)


@cache
def words(name: str) -> frozenset[str]:
    """Return the stems of a name's words without stop words: `Crawling (baby)` gives {crawl, babi}."""
    return frozenset(stems(name))


def stems(name: str) -> list[str]:
    """Return the stems of a name's words in their order, without stop words."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = plain.replace("'s", " ").replace("'", "")
    found = [word for word in re.findall(r"[a-z0-9]+", plain) if word not in STOP]
    return [_stem(word) for word in found]


@cache
def label_forms(label: str) -> tuple[frozenset[str], ...]:
    """Return the readings of a label: whole, without what stands in brackets (`rings (gymnastics)`), either side of an or."""
    whole = label.replace("(sport)", " ")
    readings = [whole, re.sub(r"\([^)]*\)", " ", label)]
    either = re.search(r"(\w+) or (\w+)", whole)
    if either is not None:
        # "trimming or shaving beard" is two activities.
        readings += [whole[: either.start()] + word + whole[either.end() :] for word in either.groups()]
    return tuple(dict.fromkeys(form for form in map(words, readings) if form))


@cache
def tokens(name: str) -> frozenset[str]:
    """Return a name's words as they are, but for a plural s."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return frozenset(word.removesuffix("s") for word in re.findall(r"[a-z0-9]+", plain))


@cache
def normal(name: str) -> str:
    """Return a name for exact look-up: its letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def compare(name: str, label: str, form: frozenset[str]) -> tuple[str, str] | None:
    """Return kind and evidence of the overlap between a name and one reading of a label, or None."""
    own = words(name)
    core, bare = own - GENERIC or own, form - GENERIC or form
    if own and (core == bare or normal(name) == normal(label)):
        return "exact", "the same words"
    # Half of a label (`rings` of `rings (gymnastics)`) inside a longer name is another thing more often than not, and
    # so is a single word of another ending: a fence is not fencing.
    if bare < core and form == label_forms(label)[0] and (len(bare) > 1 or tokens(label) & tokens(name)):
        return "word", f"the class name holds the label's words: {' '.join(sorted(bare))}"
    return None


@cache
def aliases() -> tuple[dict[str, str], ...]:
    """Return the rows of the alias table: name, label_set, label, reason."""
    text = resources.files("splits.data").joinpath("aliases.tsv").read_text(encoding="utf-8")
    return tuple(csv.DictReader((line for line in text.splitlines() if not line.startswith("#")), delimiter="\t"))


def _aliased(pairs: list[tuple[str, str]], name: str, labels: list[str]) -> list[tuple[str, str, str, str, str]]:
    known = {label.lower(): label for label in labels}
    table: dict[str, list[dict[str, str]]] = {}
    for row in aliases():
        # A label that this version of the set does not hold is no overlap.
        if row["label_set"] == name.rstrip("0123456789") and row["label"] in known:
            table.setdefault(normal(row["name"]), []).append(row)
    found = []
    for class_name, phrase in pairs:
        for key in dict.fromkeys((normal(class_name), normal(phrase))):
            found += [(class_name, name, known[r["label"]], "alias", r["reason"]) for r in table.get(key, [])]
    return found


def _similar(
    pairs: list[tuple[str, str]], name: str, labels: list[str], path: str, threshold: float
) -> list[tuple[str, str, str, str, str]]:
    own, theirs = phrase_vectors(path, [phrase for _, phrase in pairs], labels)
    cosine = own @ theirs.T
    found = []
    for i, j in np.argwhere(cosine > threshold):
        found.append((pairs[i][0], name, labels[j], "embedding", f"cosine {cosine[i, j]:.3f}"))
    return found
