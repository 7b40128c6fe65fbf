"""Every table that one stage hands to the next, typed and commented.

Read this module to know what a file holds; `tables.py` checks files against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from avzsl.contracts.vocabulary import FEATURE_STATUS, MEDIA_STATUS

STRING, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, and which values are allowed."""

    name: str
    type: pa.DataType
    about: str
    required: bool = False  # required: the column must be there and hold no nulls
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TableSchema:
    """A table: its name, what a row is, its unique key and its columns."""

    name: str
    row: str
    key: tuple[str, ...]
    fields: tuple[Column, ...]

    @cached_property
    def columns(self) -> dict[str, Column]:
        return {column.name: column for column in self.fields}

    def only(self, columns: Sequence[str]) -> TableSchema:
        """Return the schema of some of the columns; the key is theirs if they hold all of it."""
        key = self.key if set(self.key) <= set(columns) else ()
        return TableSchema(self.name, self.row, key, tuple(self.columns[name] for name in columns))

    def arrow(self) -> pa.Schema:
        return pa.schema(
            [pa.field(c.name, c.type, metadata={"about": c.about}) for c in self.fields],
            metadata={"table": self.name, "row": self.row},
        )


# Subsets of a split (AVCA section 4.1). Stage 1 trains on train and chooses on val_seen + val_unseen;
# stage 2 trains on the first three together; test_seen + test_unseen are looked at once.
SUBSETS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
EXCLUDED = "excluded"
# Roles of a class. Classes of role train are seen in both stages; val_unseen classes are unseen in
# stage 1 and seen in stage 2; test_unseen classes are never trained on.
CLASS_ROLES = ("train", "val_unseen", "test_unseen")

CLIPS = TableSchema(
    "clips",
    "one clip of a data set, as its public metadata lists it",
    ("clip_id",),
    (
        Column("clip_id", STRING, "unique name in the data set; may hold any character", True),
        Column("dataset", STRING, "name of the data set's YAML", True),
        Column("class_name", STRING, "the class, spelt as in the classes table", True),
        Column("source_id", STRING, "what leaks between clips: YouTube id, UCF group, file", True),
        Column("shard", INT, "shard that processes this clip: hash of source_id", True),
        Column("url", STRING, "where the video is, for remote sources"),
        Column("path", STRING, "file name in an archive or folder, relative to the source's root"),
        Column("start_s", FLOAT, "start of the segment in the video; null: from the start"),
        Column("end_s", FLOAT, "end of the segment in the video; null: to the end"),
        Column("category", STRING, "coarse category of the class or clip"),
        Column("official_subset", STRING, "the data set's own train/validation/test, unrelated to the split"),
        Column("licence", STRING, "licence of the clip, where known"),
    ),
)

CLASSES = TableSchema(
    "classes",
    "one class of a data set, also one without any clip",
    ("class_name",),
    (
        Column("class_name", STRING, "name, unique in the data set", True),
        Column("dataset", STRING, "name of the data set's YAML", True),
        Column("phrase", STRING, "the words that are embedded for this class", True),
        Column("category", STRING, "coarse category"),
        Column("clips", INT, "listed clips", True),
    ),
)

MEDIA = TableSchema(
    "media",
    "one clip of a shard after acquisition; every clip of the shard has its row",
    ("clip_id",),
    (
        Column("clip_id", STRING, "as in clips", True),
        Column("shard", INT, "as in clips", True),
        Column("status", STRING, "how it ended", True, MEDIA_STATUS),
        Column("permanent", BOOL, "asking again cannot help", True),
        Column("attempts", INT, "requests made so far, over all runs", True),
        Column("error", STRING, "the first sentence of what went wrong, for people"),
        Column("source", STRING, "which of the data set's sources gave the file"),
        Column("path", STRING, "the file; relative to the working directory unless outside it"),
        Column("bytes", INT, "size of the file"),
        Column("sha256", STRING, "of the file"),
        Column("duration_s", FLOAT, "length of the shorter of audio and video, in seconds"),
        Column("start_error_s", FLOAT, "measured start of a cut minus the start asked for"),
        Column("fps", FLOAT, "average frame rate"),
        Column("width", INT, "pixels"),
        Column("height", INT, "pixels"),
        Column("video_codec", STRING, "FFmpeg's name"),
        Column("audio_codec", STRING, "FFmpeg's name"),
        Column("audio_rate", INT, "samples a second"),
        Column("channels", INT, "audio channels"),
        Column("variable_fps", BOOL, "frames do not follow each other at one rate"),
        Column("lost_frames", INT, "frames of a cut clip that did not decode, or only in part"),
        Column("lost_sound_s", FLOAT, "seconds of sound of a cut clip that did not decode"),
        Column(
            "note", STRING, "what is odd about a clip that is used: damage, holes, silent, still, joined, for people"
        ),
        Column("licence", STRING, "as the source states it"),
        Column("tools", STRING, "versions of what fetched, cut and probed"),
        Column("fetched_at", STRING, "UTC time of the last attempt, ISO 8601"),
    ),
)

FEATURES = TableSchema(
    "features",
    "one clip of a shard after extraction; every clip of the shard has its row",
    ("clip_id",),
    (
        Column("clip_id", STRING, "as in clips", True),
        Column("shard", INT, "as in clips", True),
        Column("status", STRING, "how it ended", True, FEATURE_STATUS),
        Column("reason", STRING, "why there are no features, or what is odd about a clip that has them, for people"),
        Column("row", INT, "row in the arrays of the same shard or pack; -1: none", True),
        Column("audio_steps", INT, "steps of sound", True),
        Column("visual_steps", INT, "steps of picture", True),
        Column("seconds_covered", FLOAT, "length of the union of the steps, of the modality where it is less"),
        Column("duration_s", FLOAT, "decoded length of the clip"),
        Column("fps", FLOAT, "average frame rate of the stream"),
        Column("frames", INT, "video frames decoded"),
        Column("video_codec", STRING, "FFmpeg's name"),
        Column("audio_codec", STRING, "FFmpeg's name"),
        Column("audio_samples", INT, "mono samples decoded at the extractor's rate"),
        Column("lost_frames", INT, "video frames that did not decode, or only in part"),
        Column("lost_sound_s", FLOAT, "seconds of sound that did not decode"),
    ),
)

SPLIT = TableSchema(
    "split",
    "one listed clip and its place in the split",
    ("clip_id",),
    (
        Column("clip_id", STRING, "as in clips", True),
        Column("class_name", STRING, "as in classes", True),
        Column("subset", STRING, "place in the split", True, (*SUBSETS, EXCLUDED)),
        Column("reason", STRING, "why it is excluded"),
    ),
)

SPLIT_CLASSES = TableSchema(
    "split classes",
    "one class of the data set and its role in the split",
    ("class_name",),
    (
        Column("class_name", STRING, "as in classes", True),
        Column("role", STRING, "role in the split", True, (*CLASS_ROLES, EXCLUDED)),
        Column("reason", STRING, "why it has this role: overlap, forced, drawn, no clips ..."),
    ),
)

BENCHMARK_CLIPS = TableSchema(
    "benchmark clips",
    "one clip of the split joined with what became of it; listed clips are never fewer",
    ("clip_id",),
    (
        Column("clip_id", STRING, "as in clips", True),
        Column("class_name", STRING, "as in classes", True),
        Column("subset", STRING, "place in the split", True, (*SUBSETS, EXCLUDED)),
        Column("usable", BOOL, "has features, a class with an embedding, and a subset", True),
        Column("row", INT, "row in the packed features; -1: none", True),
        Column("stage", STRING, "where it was lost: split, media, features, class", values=("split", "media", "features", "class")),
        Column("status", STRING, "status at that stage"),
        Column("reason", STRING, "for people"),
    ),
)  # fmt: skip

BENCHMARK_CLASSES = TableSchema(
    "benchmark classes",
    "one class of the split and whether it can be scored",
    ("class_name",),
    (
        Column("class_name", STRING, "as in classes", True),
        Column("role", STRING, "role in the split", True, (*CLASS_ROLES, EXCLUDED)),
        Column("listed", INT, "clips in the split", True),
        Column("usable", INT, "clips with features", True),
        Column("reason", STRING, "why it is excluded"),
    ),
)

HISTORY = TableSchema(
    "history",
    "one epoch of one stage of a run",
    ("stage", "epoch"),
    (
        Column("stage", INT, "1: choose on validation, 2: final model", True),
        Column("epoch", INT, "1-based", True),
        Column("lr", FLOAT, "learning rate of this epoch", True),
        Column("loss", FLOAT, "mean training loss", True),
        Column("seconds", FLOAT, "wall time of the epoch", True),
        Column("seen", FLOAT, "S on validation, 0..1"),
        Column("unseen", FLOAT, "U on validation, 0..1"),
        Column("hm", FLOAT, "harmonic mean on validation, 0..1"),
        Column("zsl", FLOAT, "ZSL on validation, 0..1"),
        Column("beta", FLOAT, "calibration that gave hm"),
        Column("selected", BOOL, "this epoch was chosen", True),
    ),
)

PREDICTIONS = TableSchema(
    "predictions",
    "one test clip of a run; every score can be recomputed from these",
    ("clip_id",),
    (
        Column("clip_id", STRING, "as in clips", True),
        Column("class_name", STRING, "true class", True),
        Column("subset", STRING, "place in the split", True, ("test_seen", "test_unseen")),
        Column("predicted", STRING, "class predicted among seen and unseen, calibrated", True),
        Column("predicted_zsl", STRING, "class predicted among unseen only; null for seen clips"),
    ),
)

RUNS = TableSchema(
    "runs",
    "one method trained with one seed on one benchmark",
    ("benchmark", "method", "seed"),
    (
        Column("benchmark", STRING, "name in the configuration", True),
        Column("dataset", STRING, "data set", True),
        Column("split", STRING, "split flavour", True),
        Column("features", STRING, "feature set", True),
        Column("preset", STRING, "as_released or corrected", True),
        Column("method", STRING, "method", True),
        Column("seed", INT, "seed", True),
        Column("seen", FLOAT, "S: mean per-class accuracy on seen classes, percent"),
        Column("unseen", FLOAT, "U: mean per-class accuracy on unseen classes, percent"),
        Column("hm", FLOAT, "harmonic mean of S and U, percent"),
        Column("zsl", FLOAT, "mean per-class accuracy among unseen classes only, percent"),
        Column("beta", FLOAT, "calibration, chosen on validation"),
        Column("epoch", INT, "epoch chosen on validation"),
        Column("seconds", FLOAT, "wall time of the run"),
    ),
)
