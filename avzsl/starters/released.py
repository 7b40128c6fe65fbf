"""Released features as their authors packed them -> the configuration that trains on them, without a video."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from avzsl.config.dataset import DatasetConfig
from avzsl.config.read import read_yaml
from avzsl.config.shipped import CONFIG
from avzsl.config.splits import ListsConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from splits.lists import read_all_classes, read_lists

# Our data sets, how their folder in the authors' archive may be called, and a part of the name of their vectors' file.
KNOWN = {
    "ucf": ("UCF", ("ucf", "ucf101", "ucf-101"), "ucf"),
    "vggsound": ("VGGSound", ("vggsound", "vgg-sound", "vggsound-gzsl"), "vggsound"),
    "activitynet": ("ActivityNet", ("activitynet", "activity", "activity-net"), "activity"),
}
REPOSITORY = "github.com/ExplainableML/AVCA-GZSL"
METHODS = "[ale, sje, devise, apn, fvaegan, cjme, avgzslnet, avca]"
MAX_NAMES = 3_000_000
# Folders of pickles that are no features: what the released code caches, and the lists of files that it splits by.
_NOT_FEATURES = ("_features", "splitting_scripts")


@dataclass(frozen=True)
class Place:
    """A folder or file inside a folder or zip archive of the user's."""

    path: Path
    within: str

    def keys(self, key: str, indent: str) -> str:
        """Return the YAML lines that name it; a folder's parts are joined, an archive's are apart."""
        if self.path.is_dir():
            return f"{indent}{key}: {quoted(str(self.path / self.within))}"
        lines = [f"{indent}{key}: {quoted(str(self.path))}"]
        return "\n".join([*lines, f"{indent}within: {quoted(self.within)}"] if self.within else lines)


@dataclass(frozen=True)
class Found:
    """What is there of one data set: features by kind (a key of `FEATURES_OF`), lists, vectors."""

    features: dict[str, Place]
    lists: Place
    vectors: Place
    clips: int
    classes: tuple[str, ...]


def quoted(text: str) -> str:
    """Return a text as YAML takes it."""
    return yaml.safe_dump(text, allow_unicode=True, width=100_000).split("\n")[0]


def names_in(path: Path) -> list[str]:
    """Return the files of a folder or zip archive, relative to it; raises ConfigError if it is neither."""
    if path.is_dir():
        return [found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()]
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file or folder")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{path}: is neither a folder nor a whole zip archive ({error}); unpack it and name its folder"
        ) from error
    if len(infos) > MAX_NAMES:
        raise ConfigError(f"{path}: holds {len(infos)} files; released features are fewer")
    return [info.filename for info in infos if not info.is_dir()]


def look(name: str, paths: Sequence[Path]) -> Found:
    """Return what `paths`, searched in order, hold of the released data set `name`.

    Raises ConfigError if `name` is none of `KNOWN`, or names what is missing and where it is to be had.
    """
    if name not in KNOWN:
        raise ConfigError(f"new: {name!r} is no data set with released features; they are {', '.join(KNOWN)}")
    title, _, word = KNOWN[name]
    files = {path: _of(name, names_in(path)) for path in paths}
    kinds = {
        "main": r"((?:.*/)?main_features/)audio/[^/]+/[^/]+\.h5",
        "cls": r"((?:.*/)?cls_features/)audio/[^/]+/[^/]+\.h5",
        "temporal": r"((?:.*/)?cls_features[^/]*/)audio/[^/]+/[^/]+\.(?:pkl|pickle)",
        "temporal-main": r"((?:.*/)?main_features[^/]*/)audio/[^/]+/[^/]+\.(?:pkl|pickle)",
    }
    features = {kind: hit for kind, rule in kinds.items() if (hit := _only(rule, files, kind))}
    # Without the folders' names: averages, else what TCaF's extraction leaves.
    for kind, rule in (("main", r"((?:.*/)?)audio/[^/]+/[^/]+\.h5"), ("temporal", r"((?:.*/)?)[^/]+\.(?:pkl|pickle)")):
        if not features and (plain := _only(rule, files, "features")):
            features = {kind: plain}
    lists = _only(r"((?:.*/)?)main_split/stage_1_train\.csv", files, "class lists")
    vectors = _only(rf"((?:.*/)?[^/]*word_embeddings?[^/]*{word}[^/]*\.npy)", files, "word vectors", first=True)
    cls_lists = _only(r"((?:.*/)?)cls_split/stage_1_train\.csv", files, "class lists")
    missing = [
        what
        for what, found in (
            ("features (features/main_features/{audio,video}/<split>/<class>.h5)", features),
            ("class lists (main_split/stage_1_train.csv)", lists),
            (
                "class lists (cls_split/stage_1_train.csv)",
                lists is None or cls_lists == lists or OF_CLS.isdisjoint(features),
            ),
            (f"word vectors (word_embeddings_{word}_normed.npy)", vectors),
        )
        if not found
    ]
    if missing or lists is None or vectors is None:
        raise ConfigError(
            f"{', '.join(map(str, paths))}: no {' and no '.join(missing)} of {title} in there; features come with the "
            f"archives that the README of {REPOSITORY} links, lists and vectors with the repository itself, under "
            f"avgzsl_benchmark_datasets/{title}: name that folder or its zip as well"
        )
    config = ListsConfig(path=str(lists.path), within=lists.within.rstrip("/"))
    read = read_lists(config, "main", None)
    labels = {label.lower(): label for label in read_all_classes(config, None)}
    labels |= {label.lower(): label for clips in read.clips.values() for label in clips.values()}
    return Found(features, lists, vectors, sum(map(len, read.clips.values())), tuple(sorted(labels.values())))


def _of(name: str, files: list[str]) -> list[str]:
    """Return the files that may be of the data set `name`: neither below another's folder nor of `_NOT_FEATURES`."""
    others = {folder for other, (_, folders, _) in KNOWN.items() if other != name for folder in folders}
    own = set(KNOWN[name][1])

    def may_be(file: str) -> bool:
        parts = {part.lower() for part in file.split("/")[:-1]}
        return (bool(parts & own) or not parts & others) and not any(part.startswith(_NOT_FEATURES) for part in parts)

    return [file for file in files if may_be(file)]


def _only(rule: str, files: dict[Path, list[str]], what: str, first: bool = False) -> Place | None:
    """Return the one place that a rule finds; `first`: several are copies of each other, and the first serves."""
    for path, names in files.items():
        hits = sorted({found[1] for name in names if (found := re.fullmatch(rule, name, re.IGNORECASE))})
        if len(hits) > 1 and not first:
            raise AvzslError(f"{path}: holds {what} in several folders: {', '.join(hits[:4])}; name one of them")
        if hits:
            return Place(path.absolute(), hits[0].rstrip("/"))
    return None


# Kinds of released features, and what the name of a feature set adds for each.
FEATURES_OF = {"main": "", "cls": "-cls", "temporal": "-temporal", "temporal-main": "-temporal-main"}
OF_CLS = frozenset({"cls", "temporal"})
_TITLES = {
    "main": "SeLaVi, released averages",
    "cls": "C3D and VGGish, released averages",
    "temporal": "C3D and VGGish, released steps",
    "temporal-main": "SeLaVi, released steps",
}
# How long the steps are: VGGish's examples, and 16 pictures of 25 a second.
_STEPS = {"temporal": "audio_step_seconds: 0.96\nvisual_step_seconds: 0.64\n"}


def render(name: str, found: Found) -> dict[str, str]:
    """Return the files of the configuration by their path below config/: data set, feature sets and project."""
    own = f"{name}-released"
    shipped = DatasetConfig.model_validate(read_yaml(CONFIG / "datasets" / f"{name}.yaml"))
    spelled = {label.lower(): label for label in found.classes}
    phrases = "".join(
        f"\n  {quoted(spelled[c.lower()])}: {quoted(phrase)}"
        for c, phrase in shipped.phrases.items()
        if c.lower() in spelled
    )
    main = next(iter(found.features))
    files = {
        f"datasets/{own}.yaml": f"""\
# The clips that the released lists of {shipped.title} name, for released features (docs/released-features.md).
title: {quoted(shipped.title)}
licence: {quoted(shipped.licence)}
catalog:
  module: released
  lists: &lists
{found.lists.keys("path", "    ")}
features: {own}{FEATURES_OF[main]}
embeddings:
  backend: released             # the authors' own word vectors
{found.vectors.keys("table", "  ")}
phrases:{phrases or " {}"}
splits:
  # Kinetics-400 comes with avzsl; add sports1m to have the audit look there too (its label list is downloaded).
  published: &published
    flavour: imported
    avoid: [kinetics400]
    lists: *lists
    gates: {{lists: 0}}
  published_cls: {{<<: *published, variant: cls}}
"""
    }
    for kind, place in found.features.items():
        extractor = "extractor: c3d_vggish\n" if kind in OF_CLS else ""
        files[f"features/{own}{FEATURES_OF[kind]}.yaml"] = (
            f"# What {place.path.name} holds; nothing is extracted.\ntitle: {_TITLES[kind]}\n{extractor}"
            f"{place.keys('released', '')}\n{_STEPS.get(kind, '')}"
        )
    files["PROJECT"] = _project(own, found)
    return files


def _project(own: str, found: Found) -> str:
    lines = [
        f"# Published features of {own.removesuffix('-released')}: both presets, the methods of AVCA's table 2, published numbers beside.",
        "# A GPU helps: three seeds of eight methods are 24 trainings a benchmark. Fewer: edit the last two lines.",
        "benchmarks:",
    ]
    for kind in found.features:
        for preset, suffix in (("corrected", ""), ("as_released", "-as-released")):
            lines.append(
                f"  {own}{FEATURES_OF[kind]}{suffix}: {{dataset: {own}, split: published{'_cls' if kind in OF_CLS else ''}, "
                f"features: {own}{FEATURES_OF[kind]}, preset: {preset}{', methods: [tcaf, avca]' if kind.startswith('temporal') else ''}}}"
            )
    return "\n".join([*lines, f"methods: {METHODS}", "seeds: [0, 1, 2]", ""])
