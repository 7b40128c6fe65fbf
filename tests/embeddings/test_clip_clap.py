"""Text towers of CLIP and of the two CLAPs: the released code's numbers, prompts, vectors behind one another, refusals."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from pydantic import ValidationError

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from avzsl.embeddings import embed_classes
from avzsl.embeddings.backends import clap, joined
from avzsl.embeddings.prompts import Prompts, about_pictures, about_sounds
from tests.clip_clap_files import write_laion, write_wavcaps
from tests.extractors.test_clip_clap import listed
from tests.methods.reference import golden

needs_clip = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("open_clip", "transformers")),
    reason="the extra [clip] is not installed",
)
WORDS = ["a", "dog", "barks", "loud", "##ly", "can", "be", "heard", ".", "bell"]


def classes(*phrases: str) -> pd.DataFrame:
    return pd.DataFrame({"class_name": list(phrases), "phrase": list(phrases)})


@needs_clip
@pytest.mark.slow
def test_clips_text_gives_the_golden_numbers(shared: Path, tmp_path: Path) -> None:
    import open_clip

    from avzsl.pretrained.clip import TextEncoder

    x = golden(shared, "features/clip_vit_b32")
    phrases = ["a photo of a person Archery.", "a video of the person playing guitar.", "a photo of people marching."]
    np.testing.assert_array_equal(open_clip.SimpleTokenizer()(phrases), x["tokens"])
    state = {name: value.contiguous() for name, value in listed(shared, "clip_vit_b32", "clip.").items()}
    safetensors.torch.save_file(state, tmp_path / "clip.safetensors")
    expected = x["text_f64"] / np.linalg.norm(x["text_f64"], axis=1, keepdims=True)
    np.testing.assert_allclose(TextEncoder(tmp_path / "clip.safetensors").encode(phrases), expected, atol=2e-6)


@needs_clip
@pytest.mark.slow
@torch.inference_mode()
def test_wavcaps_text_gives_the_golden_numbers(shared: Path) -> None:
    from avzsl.pretrained.clap import unit
    from avzsl.pretrained.clap_text import WavCapsTower, by_length

    x = golden(shared, "features/wavcaps_text")
    tower = WavCapsTower()
    state = {
        name.replace("text_encoder.text_encoder.", "text_encoder."): value
        for name, value in listed(shared, "wavcaps_text", "wavcaps_text.").items()
    }
    left_out = tower.load_state_dict(state, strict=False)
    assert not left_out.missing_keys
    ids = [row[: int(mask.sum())].tolist() for row, mask in zip(x["ids"], x["mask"], strict=True)]
    found = by_length(ids, tower)
    np.testing.assert_allclose(found, x["proj_unnormalised"], atol=3e-5)
    np.testing.assert_allclose(unit(found), x["embedding"], atol=1e-6)


def test_the_papers_prompts_are_counted() -> None:
    for paper, seen, heard in (("ucf", 48, 30), ("activitynet", 48, 30), ("vggsound", 8, 9)):
        for slips in (True, False):
            options = Prompts.model_validate({"paper": paper, "slips": slips})
            for prompts, count in ((about_pictures(options), seen), (about_sounds(options), heard)):
                assert len(set(prompts)) == count
                assert all(prompt.count("{}") == 1 and "  " not in prompt for prompt in prompts)
                assert any("a example" in prompt for prompt in prompts) == slips
    ucf = about_sounds(Prompts(paper="ucf"))
    assert "the person {} can be heard." in ucf and "the person using {} can be heard." not in ucf
    assert sum("during" in prompt for prompt in ucf) == 4
    assert about_pictures(Prompts(paper="vggsound", slips=True))[4] == "a photo of the person {}."
    assert about_pictures(Prompts(paper="vggsound"))[4] == "a photo of the {}."


def test_prompts_of_two_sources_are_refused() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Prompts(prompts=("a {}",), paper="ucf")
    with pytest.raises(ValidationError, match="is not given"):
        Prompts(slips=True)


@pytest.fixture
def laion(tmp_path: Path) -> Path:
    """A CLAP of one layer, 16-d inside, 12-d outside, with random weights and a vocabulary of a few words."""
    pytest.importorskip("transformers", reason="the extra [clip] is not installed")
    folder = tmp_path / "clap"
    folder.mkdir()
    write_laion(folder, WORDS, width=12)
    return folder


@needs_clip
def test_vectors_stand_behind_one_another_each_of_norm_one(laion: Path) -> None:
    part: dict[str, Any] = {"backend": "clap", "table": str(laion), "prompts": ["a {} can be heard.", "{}"]}
    config = EmbeddingsConfig.model_validate(
        {"backend": "joined", "parts": [part, {"backend": "table", "table": "demo"}], "unknown": "skip"}
    )
    found = embed_classes(classes("bell", "rain", "zzzz"), config)
    assert set(found.missing) == {"zzzz"}
    halves = np.linalg.norm(found.vectors[:, :12], axis=1), np.linalg.norm(found.vectors[:, 12:], axis=1)
    np.testing.assert_allclose(halves, np.sqrt(0.5), atol=1e-6)
    alone = embed_classes(classes("bell"), EmbeddingsConfig.model_validate(part)).vectors
    np.testing.assert_allclose(found.vectors[:1, :12], alone * np.sqrt(0.5), atol=1e-6)


@needs_clip
def test_a_phrases_vector_is_the_mean_of_its_prompts_and_knows_no_neighbours(laion: Path) -> None:
    from avzsl.pretrained.clap_text import LaionText

    encoder = LaionText(laion)
    several = encoder.encode(["dog", "a dog barks", "loud dog barks .", "dog barks"])
    np.testing.assert_array_equal(several[1:2], encoder.encode(["a dog barks"]))
    np.testing.assert_allclose(np.linalg.norm(several, axis=1), 1, atol=1e-6)
    options = clap.Options(table=str(laion), prompts=("a {} .", "{} barks"))
    vector, unknown = clap.vectors(options, ["dog", " "]).lookup("dog")
    mean = encoder.encode(["a dog .", "dog barks"]).mean(0).numpy()
    assert vector is not None and unknown == []
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert clap.vectors(options, ["dog", " "]).lookup(" ")[0] is None


@needs_clip
def test_wavcaps_reads_its_checkpoint_and_berts_vocabulary(tmp_path: Path) -> None:
    from avzsl.pretrained.clap_text import WavCapsText

    encoder = WavCapsText(write_wavcaps(tmp_path, WORDS), tmp_path / "vocab.txt", layers=1)
    found = encoder.encode(["A dog barks loudly", "dog", "dog " * 28, "dog " * 40])
    assert found.shape == (4, 1024)
    np.testing.assert_array_equal(found[2], found[3])  # 28 words between the two marks are 30 tokens
    np.testing.assert_array_equal(encoder.encode(["a DOG barks loud ##ly"]).shape, (1, 1024))


@needs_clip
def test_what_is_missing_is_named(laion: Path, tmp_path: Path) -> None:
    (laion / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"is not the file of a tokenizer.*https://.*MB, Apache-2.0"):
        clap.vectors(clap.Options(table=str(laion)), ["dog"])
    (laion / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"has no model.safetensors; put it there: .*https://.*Apache"):
        clap.check(clap.Options(table=str(laion)))
    (laion / "tokenizer.json").unlink()
    with pytest.raises(
        ConfigError, match=r"no tokenizer.json and no model.safetensors; put them there: .*2 MB, Apache.*620 MB, Apache"
    ):
        clap.check(clap.Options(table=str(laion)))
    with pytest.raises(ConfigError, match=r"embeddings.parts.1.table"):
        joined.check(
            joined.Options(
                parts=(
                    {"backend": "table", "table": "demo"},
                    {"backend": "clip", "table": str(tmp_path / "none.safetensors")},
                )
            )
        )
    with pytest.raises(AvzslError, match="no key `backend`"):
        joined.check(joined.Options(parts=({"table": "demo"}, {"table": "demo"})))
