"""Which layout the features have that a feature set names, and who reads it."""

from __future__ import annotations

from pathlib import Path

from avzsl.config.features import FeaturesConfig
from avzsl.pretrained.xlsa17 import FEATURES
from extractors.own import import_own
from extractors.released_features import import_features, place
from extractors.released_steps import holds_class_pickles, import_class_pickles
from extractors.temporal import import_temporal, pickles
from extractors.xlsa17 import import_images


def import_any(
    dataset: str, name: str, features: FeaturesConfig, listed: list[str], arrays: Path, manifest: Path
) -> None:
    """Write the features that the feature set `name` says exist already as a shard of all clips `listed`.

    `{dataset}`, ~ and environment variables in its paths are filled in. Raises DataError as the layouts' readers do.
    """
    folder = features.imported_from(dataset)
    if features.arrays is not None:
        import_own(folder, name, features, listed, arrays, manifest)
    elif (folder / FEATURES).is_file():
        import_images(folder, name, features, listed, arrays, manifest)
    elif pickles(found := place(folder, features.within)):
        import_temporal(found, name, features, listed, arrays, manifest)
    elif holds_class_pickles(found):
        import_class_pickles(found, name, features, listed, arrays, manifest)
    else:
        import_features(folder, arrays, manifest, listed, features.extractor, features.within)
