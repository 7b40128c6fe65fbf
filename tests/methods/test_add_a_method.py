"""The example of docs/add-a-method.md works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import torch
import yaml

from avzsl.config.methods import MethodConfig, TrainingConfig
from avzsl.methods import Batch, Clips, Dims, Method

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-method.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_documented_method_trains():
    names: dict = {}
    exec(compile(block("python"), str(PAGE), "exec"), names)
    config = MethodConfig.model_validate(yaml.safe_load(block("yaml")))
    assert issubclass(names["METHOD"], Method)
    torch.manual_seed(0)
    method = names["METHOD"](Dims(6, 5, 4), config.options)
    classes = torch.nn.functional.normalize(torch.randn(3, 4), dim=1)
    labels = torch.arange(3).repeat(4)
    audio, visual = classes[labels] @ torch.randn(4, 6), classes[labels] @ torch.randn(4, 5)

    def clips(order: torch.Tensor) -> Clips:
        return Clips(audio[order], visual[order], classes[labels[order]], labels[order])

    everything = torch.arange(12)
    optimisers = method.optimisers(TrainingConfig(lr=0.01))
    for step in range(300):
        # Labels repeat 0, 1, 2: shifted by one or two, every negative is of another class.
        batch = Batch(clips(everything), clips(everything.roll(1 + step % 2)), classes)
        method.step(batch, optimisers, 0)
    predicted = method.distances(audio, visual, classes)["both"].argmin(1)
    assert (predicted == labels).all()
