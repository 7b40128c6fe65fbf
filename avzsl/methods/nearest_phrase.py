"""Nearest phrase: name a clip by what trained taggers heard and saw in it; nothing is fitted.

A clip's point is the sum of its likeliest labels' vectors, weighted by their probabilities, as in CONSE (Norouzi et al., ICLR
2014) with AudioSet's and ImageNet's labels in place of seen classes. It is zero-shot only for classes that no label names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import ConfigError
from avzsl.methods.base import Dims, Method, TrainingSet
from avzsl.methods.closed_form import cosine_distances
from avzsl.methods.options.nearest_phrase import Options
from avzsl.pretrained.taggers import Tagger, audio_tagger, visual_tagger, weights_identity


def probabilities(tagger: Tagger, features: Tensor) -> Tensor:
    """Return the probability of every label (N, labels) from mean features (N, dim) of one modality."""
    return _probabilities(features, tagger.weight, tagger.bias, tagger.exclusive)


def strongest(likely: Tensor, top: int, without: Tensor | None = None) -> Tensor:
    """Return probabilities (N, labels) with all but the `top` largest of each row set to 0.

    Labels marked in `without` (labels,) bool count as never seen: they are 0 and take no place among the top.
    """
    kept = likely if without is None else likely.masked_fill(without, 0.0)
    values, at = kept.topk(min(top, kept.shape[1]), dim=1)
    return torch.zeros_like(kept).scatter_(1, at, values)


def _probabilities(features: Tensor, weight: Tensor, bias: Tensor, exclusive: bool) -> Tensor:
    scores = features @ weight.T + bias
    return scores.softmax(1) if exclusive else scores.sigmoid()


class NearestPhrase(Method):
    """Points from labels, compared by cosine with the class embeddings.

    Label vectors are taken less the mean of their set, class embeddings less the mean of all labels: what all names have
    in common tells nothing, and unlike the mean of the candidates it does not change with who is asked.

    The output `unnamed` does without the labels that name a class of the benchmark or a kind of it: what is left when
    the taggers were not told the answer.
    """

    settings = 1
    mean: Tensor

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        self.top = options.top
        # Whether anybody has looked which labels name a class: without that there is no `unnamed`.
        self.compared = False
        self.used = [name for name in ("audio", "visual") if options.modalities in ("both", name)]

    def epoch(
        self, data: TrainingSet, optimisers: dict[str, torch.optim.Optimizer], training: TrainingConfig
    ) -> Tensor:
        """Take the taggers' layers and embed their labels; there is no training loss, 0 stands for it."""
        if data.extractor.get("weights") != weights_identity():
            raise ConfigError(
                "method nearest-phrase: needs the features of the extractor pretrained with the packages' own weights "
                f"(features: pretrained); these are {data.extractor.get('name')} with weights {data.extractor.get('weights')}"
            )
        self.compared = data.named is not None
        known = []
        for name, tagger in (("audio", audio_tagger()), ("visual", visual_tagger())):
            vectors = data.phrases(tagger.names)
            there = vectors.any(dim=1, keepdim=True)
            known.append(vectors[there[:, 0]])
            named = (data.named or {}).get(tagger.label_set, frozenset())
            for part, value in (
                ("weight", tagger.weight.to(vectors)), ("bias", tagger.bias.to(vectors)),
                ("labels", torch.where(there, vectors - known[-1].mean(0), 0.0)),
                ("named", torch.tensor([label in named for label in tagger.names], device=vectors.device)),
            ):  # fmt: skip
                self.register_buffer(f"{name}_{part}", value)
        self.register_buffer("mean", torch.cat(known).mean(0))
        return torch.zeros((), device=data.classes.device)

    def points(self, audio: Tensor, visual: Tensor, *, unnamed: bool = False) -> Tensor:
        """Return the points (N, k_w) of clips; a modality of which nothing is known has NaN rows and adds nothing."""
        total = torch.zeros(len(audio), self.dims.text, dtype=audio.dtype, device=audio.device)
        for name, features in (("audio", audio), ("visual", visual)):
            if name not in self.used:
                continue
            weight, bias, labels, named = (getattr(self, f"{name}_{p}") for p in ("weight", "bias", "labels", "named"))
            known = features.isfinite().all(dim=1, keepdim=True)
            likely = _probabilities(features.nan_to_num(), weight, bias, exclusive=name == "visual")
            kept = strongest(likely, self.top, named if unnamed else None)
            total = total + torch.where(known, kept @ labels, 0.0)
        return total

    def evidence(self, audio: Tensor, visual: Tensor, target: Tensor, count: int) -> dict[str, list[tuple[int, float]]]:
        """Return what speaks most for a class embedding `target` (k_w,) in one clip, (1, k_a) and (1, k_v).

        For each modality up to `count` labels among the `top` whose vectors point towards it: place and probability, the
        largest share of the clip's nearness first.
        """
        found = {}
        for name, features in (("audio", audio), ("visual", visual)):
            if name not in self.used or not features.isfinite().all():
                continue
            weight, bias, labels = (getattr(self, f"{name}_{p}") for p in ("weight", "bias", "labels"))
            kept = strongest(_probabilities(features, weight, bias, exclusive=name == "visual"), self.top)[0]
            share = kept * (labels @ (target - self.mean))
            best = share.topk(min(count, len(share))).indices
            found[name] = [(int(i), float(kept[i])) for i in best if share[i] > 0]
        return found

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return cosine distances, with all labels and without those that name a class."""
        targets = classes - self.mean
        outputs = {"both": cosine_distances(self.points(audio, visual), targets)}
        if self.compared:
            outputs["unnamed"] = cosine_distances(self.points(audio, visual, unnamed=True), targets)
        return outputs

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the clips' points and the class embeddings less the labels' mean."""
        return {"both": self.points(audio, visual), "classes": classes - self.mean}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take the layers and vectors as they are: there is nothing before `epoch` to check them against."""
        for name, value in state_dict.items():
            self.register_buffer(name, value)
        return torch.nn.modules.module._IncompatibleKeys([], [])


METHOD = NearestPhrase
