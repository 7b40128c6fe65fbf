"""Recognition without a run and without training: the nearest phrase to what trained taggers heard and saw."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import FeaturesConfig
from avzsl.contracts.class_embeddings import ClassEmbeddings
from avzsl.contracts.errors import ConfigError
from avzsl.embeddings import embed_classes
from avzsl.embeddings.embed import embed_phrases
from avzsl.methods import Dims, build
from avzsl.methods.nearest_phrase import NearestPhrase
from avzsl.predict.recognition import Prediction, Predictions, clean, media_table
from avzsl.pretrained.taggers import audio_tagger, visual_tagger
from avzsl.pretrained.wheels import INSTALL, missing
from avzsl.pretrained.words import is_foreign
from extractors.base import find_extractor, options_of
from extractors.clips import Clip, extract_clips

logger = logging.getLogger(__name__)

METHOD = "nearest-phrase"
SHARPNESS = 20.0
SHOWN = 3  # labels of each modality that are given as reasons
LEAST = 0.01  # probability of such a label
# Of YAMNet: a clip that it is sure to be silent has a sound that says nothing.
SILENCE, SURE = "Silence", 0.5


def predict_nearest(
    clips: Sequence[Path],
    labels: Sequence[str],
    device: str = "auto",
    threads: int = 1,
    cache: Path = Path("data/weights"),
) -> Predictions:
    """Rank `labels` (any phrases, also one alone) for every clip with the networks of the extra [pretrained].

    A clip without sound or without picture, or a silent one, is named by what it has, and its reason says so. Raises
    ConfigError if a package is missing.
    """
    lacking = missing()
    if lacking:
        raise ConfigError(
            f"prediction without --run needs {', '.join(lacking)}: {INSTALL}; or name a finished run with --run"
        )
    labels = clean(labels, least=1)
    foreign = [label for label in labels if is_foreign(label)]
    if foreign:
        logger.warning("not in English, which MiniLM reads, so their places mean little: %s", ", ".join(foreign))
    features = FeaturesConfig(extractor="pretrained")
    networks = find_extractor(features.extractor).load(options_of(features), device, threads, cache)
    table = pd.DataFrame({"class_name": labels, "phrase": labels})
    embedded = embed_classes(table, EmbeddingsConfig(backend="sentences", unknown="skip"))
    for label, reason in embedded.missing.items():
        raise ConfigError(f"labels: {label!r} cannot be embedded: {reason}")
    method = build("nearest_phrase", Dims(networks.audio_dim, networks.visual_dim, embedded.vectors.shape[1]), {})
    assert isinstance(method, NearestPhrase)
    method.epoch(_Knowledge(networks.identity, embedded), {}, None)  # type: ignore[arg-type]
    rows = [Clip({str(k): v for k, v in row.items()}) for row in media_table(clips).to_dict("records")]
    readable = [row for row in rows if row.row["status"] == "ok"]
    if readable:
        extract_clips(readable, networks, features, threads, either=True)
    targets = torch.from_numpy(embedded.rows(labels))
    found = tuple(_one(str(path), row, method.eval(), targets) for path, row in zip(clips, rows, strict=True))
    return Predictions(tuple(labels), (False,) * len(labels), "", METHOD, 0.0, False, found, SHARPNESS)


class _Knowledge:
    """What `NearestPhrase` asks of a training set, of which there is none here."""

    named = None

    def __init__(self, extractor: Mapping[str, Any], embedded: ClassEmbeddings) -> None:
        self.extractor, self._embedded = extractor, embedded
        self.classes = torch.from_numpy(embedded.vectors)

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        return torch.from_numpy(embed_phrases(phrases, self._embedded.backend))


@torch.no_grad()
def _one(path: str, clip: Clip, method: NearestPhrase, targets: Tensor) -> Prediction:
    if clip.end is None:
        return Prediction(path, str(clip.row["status"]), "there is no such file", (), (), (), ())
    if clip.status != "ok":
        return Prediction(path, clip.status, clip.end.reason, (), (), (), ())
    times = next(steps.times for steps in clip.steps.values() if steps.times)
    audio, visual = (
        _steps(clip.steps[name].values, len(times), dim)
        for name, dim in (("audio", method.dims.audio), ("visual", method.dims.visual))
    )
    notes = [clip.end.reason] if clip.end.reason else []
    lacks = {name: not steps.times for name, steps in clip.steps.items()}
    if not lacks["audio"] and not lacks["visual"] and _silent(audio):
        audio, lacks["audio"] = torch.full_like(audio, math.nan), True
        notes.append("its sound is silent")
    if any(lacks.values()):
        notes.append(f"the {'picture' if lacks['audio'] else 'sound'} alone decides")
    heard, seen = audio.mean(0, keepdim=True), visual.mean(0, keepdim=True)
    distances = method.distances(heard, seen, targets)["both"][0]
    order = tuple(int(i) for i in np.argsort(distances.numpy(), kind="stable"))
    reasons = method.evidence(heard, seen, targets[order[0]], SHOWN)
    names = {"audio": ("heard", audio_tagger().names), "visual": ("seen", visual_tagger().names)}
    return Prediction(
        path, "ok", "; ".join(notes) or None, order, tuple(distances.tolist()), tuple(times),
        tuple(tuple(row) for row in method.distances(audio, visual, targets)["both"].tolist()),
        {names[m][0]: tuple((names[m][1][i], p) for i, p in found if p >= LEAST) for m, found in reasons.items()},
    )  # fmt: skip


def _steps(values: list[np.ndarray], count: int, dim: int) -> Tensor:
    """Return the steps (count, dim) of a modality, NaN where the clip lacks it."""
    return torch.from_numpy(np.stack(values)) if values else torch.full((count, dim), math.nan)


def _silent(audio: Tensor) -> bool:
    tagger = audio_tagger()
    place = tagger.names.index(SILENCE)
    score = audio.mean(0) @ tagger.weight[place] + tagger.bias[place]
    return bool(score.sigmoid() > SURE)
