"""Images of SUN, CUB, AWA1 or AWA2 as Xian et al. published their features and splits (docs/image-benchmarks.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from avzsl.config.base import LocalFolder, Section, expand
from avzsl.config.dataset import DatasetConfig
from splits.catalogs.base import Catalog


class Options(Section):
    """Keys of `catalog:` for the image benchmarks."""

    root: LocalFolder = Field(description="folder with res101.mat and att_splits.mat of one data set")


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """List the images of res101.mat, each its own source, and the classes of att_splits.mat.

    Raises DataError, one sentence with file and variable, where the files are not of the format.
    """
    import pandas as pd

    from avzsl.pretrained.xlsa17 import check_together, phrase_of, read_classes, read_images

    folder = expand(options.root)
    classes, images = read_classes(folder), read_images(folder)
    check_together(folder, classes, images)
    clips = pd.DataFrame({"clip_id": images.ids, "class_name": [classes.names[i] for i in images.labels]})
    phrases = [phrase_of(one) for one in classes.names]
    return Catalog(
        clips.assign(source_id=clips["clip_id"]), pd.DataFrame({"class_name": classes.names, "phrase": phrases}),
        [f"{len(images.ids)} images with {classes.attributes.shape[1]} attributes of each class"],
    )  # fmt: skip
