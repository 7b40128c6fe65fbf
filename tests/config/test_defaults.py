"""The shipped methods say the defaults of their modules once more, with a word on each: neither may drift."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from avzsl.config import plugins

FILES = sorted((Path(__file__).parents[2] / "config" / "methods").glob("*.yaml"))
# Methods that are their module with another objective.
OTHER = {"devise": {"objective": "sum"}, "sje": {"objective": "maximum"}}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_method_has_the_defaults_of_its_module(path: Path) -> None:
    shipped = yaml.safe_load(path.read_text(encoding="utf-8"))
    options = shipped.get("options", {})
    model = plugins.options_model(plugins.METHOD, shipped["module"])
    expected = {**model().model_dump(mode="json"), **OTHER.get(path.stem, {})}
    assert model.model_validate(options).model_dump(mode="json") == expected
    assert set(options) in ({*expected}, set()), "all options are said, or none"
