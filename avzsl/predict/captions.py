"""Recognition without a run and without training: pictures beside CLIP's text and sounds beside CLAP's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import FeaturesConfig, WeightsConfig
from avzsl.contracts.errors import ConfigError
from avzsl.embeddings import embed_classes
from avzsl.embeddings.backends import joined
from avzsl.methods import Dims, Method, build
from avzsl.predict.recognition import Prediction, Predictions, clean, media_table
from avzsl.predict.seconds import means, moments
from avzsl.pretrained.clip_files import CLAPS
from extractors.base import find_extractor, options_of
from extractors.clips import Clip, Steps, extract_clips

EXTRACTOR, METHOD = "clip_clap", "clip-zeroshot"
# CLIP's own: what cosines are multiplied with before their softmax.
SHARPNESS = 100.0
TOKENIZERS = ("tokenizer.json", "vocab.txt")


def predict_captions(
    clips: Sequence[Path],
    labels: Sequence[str],
    name: str,
    features: FeaturesConfig,
    device: str = "auto",
    threads: int = 1,
    cache: Path = Path("data/weights"),
) -> Predictions:
    """Rank `labels` (any phrases, also one alone) for every clip with the networks of the feature set `name`.

    A phrase is read in the eight and nine sentences about things of ClipClap's paper. A clip without sound or without
    picture is named by what it has. Raises ConfigError for another kind of feature set, random weights, weights or a
    tokenizer that are not there; DataError for files of another layout.
    """
    if features.extractor != EXTRACTOR:
        raise ConfigError(
            f"predict --features {name}: is of the extractor {features.extractor}; name one of {EXTRACTOR}"
        )
    labels = clean(labels, least=1)
    module, options = find_extractor(features.extractor), options_of(features)
    module.check(options)  # type: ignore[attr-defined]
    backend = _backend(name, options.picture_weights, options.sound_weights, options.sound)  # type: ignore[attr-defined]
    joined.check(joined.Options.model_validate(backend.options))  # before hundreds of megabytes are read
    networks = module.load(options, device, threads, cache)
    embedded = embed_classes(pd.DataFrame({"class_name": labels, "phrase": labels}), backend)
    for label, reason in embedded.missing.items():
        raise ConfigError(f"labels: {label!r} cannot be embedded: {reason}")
    dims = Dims(networks.audio_dim, networks.visual_dim, embedded.vectors.shape[1])
    method = build("clip_zeroshot", dims, {}).eval()
    rows = [Clip({str(k): v for k, v in row.items()}) for row in media_table(clips).to_dict("records")]
    readable = [row for row in rows if row.row["status"] == "ok"]
    if readable:
        extract_clips(readable, networks, features, threads, either=True)
    targets = torch.from_numpy(embedded.rows(labels))
    found = tuple(_one(str(path), row, method, targets) for path, row in zip(clips, rows, strict=True))
    return Predictions(tuple(labels), (False,) * len(labels), "", METHOD, 0.0, False, found, SHARPNESS)


def _backend(name: str, picture: WeightsConfig, sound: WeightsConfig, clap: str) -> EmbeddingsConfig:
    """Return the text towers beside both networks: of the same files, and the tokenizer beside the sound's."""
    for key, weights in (("picture_weights", picture), ("sound_weights", sound)):
        if not weights.path:
            raise ConfigError(
                f"predict --features {name}: {key} names no file, and phrases are read by the text tower of the same file: "
                f"give `{key}: {{path: FILE}}`"
            )
    file = Path(str(sound.path)).expanduser()
    prompts = {"paper": "vggsound"}
    first = {"backend": "clip", "table": str(picture.path), **prompts}
    if clap == "laion":
        return EmbeddingsConfig.model_validate(
            {"backend": "joined", "parts": [first, {"backend": "clap", "table": str(file.parent), **prompts}]}
        )
    tokenizer = next((file.parent / one for one in TOKENIZERS if (file.parent / one).is_file()), None)
    if tokenizer is None:
        raise ConfigError(
            f"predict --features {name}: there is no {' or '.join(TOKENIZERS)} beside {file}; {CLAPS[clap].text} into its folder"
        )
    second = {"backend": "wavcaps", "table": str(file), "tokenizer": str(tokenizer), **prompts}
    return EmbeddingsConfig.model_validate({"backend": "joined", "parts": [first, second]})


@torch.no_grad()
def _one(path: str, clip: Clip, method: Method, targets: Tensor) -> Prediction:
    if clip.end is None:
        return Prediction(path, str(clip.row["status"]), "there is no such file", (), (), (), ())
    if clip.status != "ok":
        return Prediction(path, clip.status, clip.end.reason, (), (), (), ())
    (sound, heard), (picture, seen_at) = (
        _arrays(clip.steps[name], dim) for name, dim in (("audio", method.dims.audio), ("visual", method.dims.visual))
    )
    notes = [clip.end.reason] if clip.end.reason else []
    if not (len(sound) and len(picture)):
        notes.append(f"the {'sound' if len(sound) else 'picture'} alone decides")
    # NaN stands for a modality that is not there.
    wanted = moments(heard, seen_at)

    def rank(over: list[tuple[float, float]]) -> np.ndarray:
        sides = [
            np.stack([*means(values, times, over)])
            if len(values)
            else np.full((len(over), values.shape[1]), math.nan, np.float32)
            for values, times in ((sound, heard), (picture, seen_at))
        ]
        audio, visual = (torch.from_numpy(side) for side in sides)
        return method.distances(audio, visual, targets)["both"].double().numpy()

    whole = rank([(-math.inf, math.inf)])[0]
    return Prediction(
        path, "ok", "; ".join(notes) or None, tuple(int(i) for i in np.argsort(whole, kind="stable")), tuple(whole.tolist()),
        tuple(wanted), tuple(tuple(row) for row in rank(wanted).tolist()),
    )  # fmt: skip


def _arrays(steps: Steps, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return steps (n, dim) and their times (n, 2)."""
    values = np.stack(steps.values) if steps.values else np.zeros((0, dim), np.float32)
    return values, np.asarray(steps.times, dtype=float).reshape(-1, 2)
