"""Image benchmarks: catalogue, subsets, attributes, features, and files that are not of the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.config.dataset import DatasetConfig
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import FeaturesConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.streams import read_streams
from avzsl.embeddings import embed_classes
from avzsl.methods import Dims, build
from extractors.importing import import_any
from splits.catalogs import build_catalog
from splits.image_lists import image_lists
from tests.splits.xlsa17_files import contents, write


def catalog(folder: Path):
    given = {"catalog": {"module": "xlsa17", "root": str(folder)}, "embeddings": {"table": "demo"}}
    return build_catalog("cub", DatasetConfig.model_validate(given), folder)


def test_images_classes_attributes_and_features_belong_together(tmp_path: Path) -> None:
    images, splits = contents()
    folder = write(tmp_path / "cub", images, splits)
    found = catalog(folder)
    assert len(found.clips) == 120 and len(found.classes) == 10
    row = found.clips.set_index("clip_id").loc["003.odd_bird+c/0012.jpg"]
    assert row["class_name"] == "003.odd_bird+c" and row["source_id"] == "003.odd_bird+c/0012.jpg"
    assert found.classes["phrase"].iloc[2] == "odd bird c"
    config = EmbeddingsConfig.model_validate({"backend": "attributes", "table": str(folder)})
    vectors = embed_classes(found.classes.iloc[::-1], config)
    np.testing.assert_allclose(vectors.rows(["003.odd_bird+c"])[0], splits["att"][:, 2], atol=1e-6)
    features = FeaturesConfig(released=str(tmp_path / "{dataset}"))
    listed = list(found.clips["clip_id"])
    import_any("cub", "res101", features, listed, tmp_path / "a.safetensors", tmp_path / "m.parquet")
    streams, header = read_streams(tmp_path / "a.safetensors")
    place = header["clip_ids"].index("003.odd_bird+c/0012.jpg")
    np.testing.assert_allclose(streams["visual"].clip(place)[0][0], images["features"][:, 12], atol=1e-6)
    assert streams["audio"].values.shape == (0, 0)


@pytest.mark.parametrize("parts", [True, False])
def test_subsets_are_the_published_ones(tmp_path: Path, parts: bool) -> None:
    folder = write(tmp_path, *contents(parts))
    lists = image_lists(folder)
    sizes = {name: len(clips) for name, clips in lists.clips.items()}
    assert (sizes["test_seen"], sizes["test_unseen"]) == (24, 24)
    assert sizes["train"] + sizes["val_seen"] + sizes["val_unseen"] == 72
    assert sizes["val_seen"] == len(lists.classes["train"])  # of nine images a fifth is one
    held_out = lists.classes["val_unseen"]
    assert held_out == ["007.odd_bird+g", "008.odd_bird+h"] if parts else len(held_out) == 1
    assert lists.classes["test_unseen"] == ["009.odd_bird+i", "010.odd_bird+j"]
    assert set(lists.clips["val_unseen"].values()) == set(held_out)
    assert lists == image_lists(folder)


Change = Callable[[dict[str, Any], dict[str, Any]], object]
BROKEN: list[tuple[Change, str]] = [
    (lambda i, s: s.pop("trainval_loc"), "att_splits.mat: has no variable trainval_loc"),
    (lambda i, s: s.pop("att"), "has no variable att"),
    (lambda i, s: i.pop("labels"), "res101.mat: has no variable labels"),
    (lambda i, s: i.pop("image_files"), "has no variable image_files"),
    (lambda i, s: i.update(labels=i["labels"] + 3), "label outside 1 to 10"),
    (lambda i, s: i.update(labels=i["labels"][:-1]), "120 image_files and 119 labels"),
    (lambda i, s: i["image_files"].__setitem__((1, 0), i["image_files"][0, 0]), "names the image .* twice"),
    (lambda i, s: i.update(image_files=np.zeros((120, 1))), "image_files is not a column of names"),
    (lambda i, s: s.update(att=s["att"][:, 1:]), "expected a column for each of 10 classes"),
    (lambda i, s: s.update(att=s["allclasses_names"]), "att is not an array of numbers"),
    (lambda i, s: s.update(test_seen_loc=s["test_seen_loc"] - 200), "not whole or less than 1"),
    (lambda i, s: s.update(test_seen_loc=s["test_seen_loc"] + 0.5), "not whole"),
    (lambda i, s: s.update(test_seen_loc=s["test_seen_loc"] + 500), "and there are 120 images"),
    (lambda i, s: s.update(test_seen_loc=np.zeros((0, 1))), "test_seen_loc is empty"),
    (lambda i, s: s.update(test_seen_loc=np.repeat(s["test_seen_loc"], 2)), "holds 91 twice"),
    (lambda i, s: s.update(test_seen_loc=s["trainval_loc"]), "image 1 in trainval_loc and in test_seen_loc"),
    (
        lambda i, s: s.update(
            trainval_loc=np.append(s["trainval_loc"], s["test_unseen_loc"][0]), test_unseen_loc=s["test_unseen_loc"][1:]
        ),
        "images of '009.odd_bird.i' in trainval_loc and in test_unseen_loc",
    ),
    (lambda i, s: s["allclasses_names"].__setitem__((1, 0), "odd bird a"), "names the class 'odd bird a' twice"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_another_layout_is_said_in_a_sentence(tmp_path: Path, change: Change, said: str) -> None:
    images, splits = contents()
    change(images, splits)
    with pytest.raises(DataError, match=said) as caught:
        catalog(write(tmp_path, images, splits))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["res101.mat", "att_splits.mat"])
def test_a_file_that_is_missing_or_torn(tmp_path: Path, file: str) -> None:
    folder = write(tmp_path, *contents())
    whole = (folder / file).read_bytes()
    for content in (b"", b"MATLAB 7.3 MAT-file" + bytes(600), whole[: len(whole) // 2]):
        (folder / file).write_bytes(content)
        with pytest.raises(DataError, match=rf"{file}: (is not a MATLAB file|has no variable)"):
            catalog(folder)
    (folder / file).unlink()
    with pytest.raises(DataError, match=rf"{file}: is not there; unpack"):
        catalog(folder)


def test_features_of_another_shape(tmp_path: Path) -> None:
    images, splits = contents()
    folder = write(tmp_path / "cub", images | {"features": images["features"][:, 1:]}, splits)
    features = FeaturesConfig(released=str(folder))
    with pytest.raises(DataError, match="expected a column for each of 120 images"):
        import_any("cub", "res101", features, ["a"], tmp_path / "a.safetensors", tmp_path / "m.parquet")


def test_classes_that_leave_nothing_to_train(tmp_path: Path) -> None:
    images, splits = contents()
    with pytest.raises(DataError, match="leaves no class to train on"):
        image_lists(
            write(tmp_path / "a", images, splits | {"val_loc": splits["trainval_loc"], "train_loc": np.zeros((0, 1))})
        )
    with pytest.raises(DataError, match="in train_loc and in val_loc"):
        image_lists(write(tmp_path / "b", images, splits | {"train_loc": splits["trainval_loc"]}))


def test_the_shipped_data_sets_name_the_same_folder_thrice() -> None:
    from avzsl.config.load import SHIPPED, load_project

    project = load_project(SHIPPED / "images.yaml")
    assert set(project.benchmarks) == {"sun", "cub", "awa1", "awa2"}
    for name in project.benchmarks:
        data = project.dataset(name)
        folder = f"data/released/xlsa17/{name}"
        assert data.catalog.options["root"] == folder
        assert str(project.features("res101").imported_from(name)) == folder
        assert data.splits["published"].lists.path == folder


@pytest.mark.parametrize("method", ["avca", "cjme", "avgzslnet"])
def test_a_method_of_both_modalities_says_so(method: str) -> None:
    with pytest.raises(ConfigError, match=r"needs audio and visual features .* have no sound"):
        build(method, Dims(0, 16, 6), {})
