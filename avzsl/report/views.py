"""Maps of the embeddings (AVCA figure 3): input audio, input visual, and the learnt space with its class texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from avzsl.contracts.mapped import map_arrays, scattered_rows
from avzsl.report.clipbook import ClipBook
from avzsl.report.figures import COLOURS, Figure, colour, labels, plain, rounded
from avzsl.report.results import BenchmarkFiles

UNSEEN_CLASSES, SEEN_CLASSES = 5, 3
CLIPS_PER_CLASS = 50
FEWEST = 4  # points of a map


LEARNT = "Learnt by "  # and the method: the title of its map
MARKS = {"audio": "sound (triangles)", "visual": "picture (circles)", "both": "sound and picture joined (circles)"}


def embedding_views(benchmark: BenchmarkFiles, book: ClipBook) -> dict[str, list[Figure]]:
    """Return the t-SNE maps: `input` (audio, visual), and `learnt`, one a method that has learnt embeddings.

    Drawn are the clips of a few test classes, as in the paper: those with most clips, at most `CLIPS_PER_CLASS`
    each. A map keeps neighbourhoods; distances between clusters mean nothing.
    """
    chosen = _choose(benchmark)
    if len(chosen) < FEWEST:
        return {"input": [], "learnt": []}
    packed, _ = map_arrays(benchmark.pack)  # a few rows of gigabytes that every run has compared with their hash
    rows = chosen["row"].to_numpy()
    note = f"{len(chosen)} clips of {chosen['class_name'].nunique()} test classes (of {_tested(benchmark)}); filled: unseen classes, open: seen ones."
    inputs = []
    for side, word in (("audio", "sound"), ("visual", "picture")):
        key, title = f"{side}-input", f"Input, {word}"
        points = _tsne(scattered_rows(packed[side], rows))
        if points is None:
            why = f"the {side} features of {len(rows)} clips are nearly all the same point"
            if not packed[side].shape[1]:
                why = f"the features have no {word}"
            inputs.append(_nothing(benchmark, key, title, why))
            continue
        caption = f"t-SNE of the averaged {side} features. {note}"
        inputs.append(_figure(benchmark, key, title, caption, _classes(chosen, points, book, benchmark)))
    learnt = []
    for method in benchmark.config.methods:
        arrays, header = benchmark.runs(method)[0].scores
        # A method may embed one modality, or both as one vector: what it has is drawn.
        if "classes" not in arrays:
            continue
        width = arrays["classes"].shape[1]
        spaces = [name for name in MARKS if name in arrays and arrays[name].shape[1] == width]
        if not spaces:
            continue
        row_of = {clip: index for index, clip in enumerate(header["clip_ids"])}
        which = np.array([row_of[clip] for clip in chosen["clip_id"]])
        names = list(dict.fromkeys(chosen["class_name"]))
        column_of = {name: index for index, name in enumerate(header["class_names"])}
        texts = arrays["classes"][[column_of[name] for name in names]]
        points = _tsne(np.concatenate([*(arrays[name][which] for name in spaces), texts]))
        if points is None:
            said = f"{method} embeds all of {len(which)} clips nearly at the same point"
            learnt.append(_nothing(benchmark, f"learnt-{method}", f"{LEARNT}{method}", said))
            continue
        n = len(which)
        traces = []
        for place, name in enumerate(spaces):
            part = points[place * n : (place + 1) * n]
            traces += _classes(chosen, part, book, benchmark, "visual" if name == "both" else name)
        traces.append(_texts(names, points[len(spaces) * n :]))
        shown = ", ".join(MARKS[name] for name in spaces)
        caption = (
            f"t-SNE of the learnt space of {method}, seed {benchmark.config.seeds[0]}: {shown} "
            f"and class text (large crosses) together. {note}"
        )
        learnt.append(_figure(benchmark, f"learnt-{method}", f"{LEARNT}{method}", caption, traces))
    return {"input": inputs, "learnt": learnt}


def legend(benchmark: BenchmarkFiles) -> list[tuple[str, int, bool]]:
    """Return the classes that maps draw: name, number of its colour, and whether it is an unseen one (filled marks)."""
    chosen = _choose(benchmark).drop_duplicates("class_name")
    pairs = zip(chosen["class_name"], chosen["subset"], strict=True)
    return [(str(name), index % COLOURS, subset == "test_unseen") for index, (name, subset) in enumerate(pairs)]


def _tested(benchmark: BenchmarkFiles) -> int:
    clips = benchmark.clips
    return int(clips.loc[clips["usable"] & clips["subset"].str.startswith("test"), "class_name"].nunique())


def _choose(benchmark: BenchmarkFiles) -> pd.DataFrame:
    """Return the clips that are drawn: clip_id, class_name, subset, row; unseen classes first."""
    clips = benchmark.clips
    clips = clips[clips["usable"] & clips["subset"].isin(("test_seen", "test_unseen"))]
    parts = []
    for subset, number in (("test_unseen", UNSEEN_CLASSES), ("test_seen", SEEN_CLASSES)):
        part = clips[clips["subset"] == subset]
        counts = part.groupby("class_name").size().reset_index(name="clips")
        largest = counts.sort_values(["clips", "class_name"], ascending=[False, True])["class_name"].head(number)
        for name in largest:
            of_class = part[part["class_name"] == name]
            parts.append(of_class.sample(min(len(of_class), CLIPS_PER_CLASS), random_state=0))
    return pd.concat(parts, ignore_index=True) if parts else clips


def _tsne(points: np.ndarray) -> np.ndarray | None:
    """Return (n, 2) coordinates, None if fewer than `FEWEST` points differ. A fixed seed and PCA start make the map repeatable."""
    if len(np.unique(points, axis=0)) < FEWEST:
        return None
    # The start needs two components; a column of zeros adds none that means anything.
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    perplexity = min(30.0, max(2.0, (len(points) - 1) / 4))
    tsne = TSNE(n_components=2, perplexity=perplexity, init="pca", random_state=0)
    # One thread: for a thousand points threads cost more than they win, above all where cores are busy.
    with threadpool_limits(1):
        return tsne.fit_transform(np.ascontiguousarray(points, dtype=np.float32))


def _classes(
    chosen: pd.DataFrame, points: np.ndarray, book: ClipBook, benchmark: BenchmarkFiles, side: str = ""
) -> list[dict[str, Any]]:
    """Return one trace a class; `side` is audio, visual or nothing where only one modality is drawn."""
    traces = []
    names = list(dict.fromkeys(chosen["class_name"]))
    shown = labels(names)
    for index, name in enumerate(names):
        rows = np.flatnonzero((chosen["class_name"] == name).to_numpy())
        unseen = chosen["subset"].iloc[rows[0]] == "test_unseen"
        base = "triangle-up" if side == "audio" else "circle"
        title = f"{shown[index]} ({'unseen' if unseen else 'seen'})"
        ids = [plain(clip) for clip in chosen["clip_id"].iloc[rows]]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": rounded(points[rows, 0], 2), "y": rounded(points[rows, 1], 2),
                "name": title, "legendgroup": name, "showlegend": side != "visual",
                "marker": {"color": colour(index % COLOURS), "size": 8, "symbol": base if unseen else f"{base}-open", "opacity": 0.85},
                "text": ids, "hovertemplate": f"{title}{', ' + side if side else ''}<br>%{{text}}<extra></extra>",
                "customdata": [
                    book.number(benchmark, clip, name) for clip in chosen["clip_id"].iloc[rows]
                ],
            }
        )  # fmt: skip
    return traces


def _texts(names: list[str], points: np.ndarray) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "x": rounded(points[:, 0], 2), "y": rounded(points[:, 1], 2), "name": "class text",
        "marker": {
            "symbol": "x", "size": 15, "color": [colour(i % COLOURS) for i in range(len(names))], "line": {"width": 2, "color": "fg"},
        },
        "text": labels(names), "hovertemplate": "class text: %{text}<extra></extra>",
    }  # fmt: skip


def _nothing(benchmark: BenchmarkFiles, key: str, title: str, why: str) -> Figure:
    """Return a figure that says why there is no map."""
    return Figure(f"view-{benchmark.name}-{key}", title, f"No map: {why}.", [], {}, height=0)


def _figure(benchmark: BenchmarkFiles, key: str, title: str, caption: str, traces: list[dict[str, Any]]) -> Figure:
    # The coordinates of a map have no meaning of their own: no ticks, and each axis fills its frame.
    bare = {"showticklabels": False, "zeroline": False, "ticks": ""}
    # One legend above all maps; a map that is saved alone has its own (report.js).
    layout = {
        "xaxis": dict(bare),
        "yaxis": dict(bare),
        "showlegend": False,
        "margin": {"l": 8, "r": 8, "t": 30, "b": 8},
    }
    return Figure(f"view-{benchmark.name}-{key}", title, caption, traces, layout, height=420)
