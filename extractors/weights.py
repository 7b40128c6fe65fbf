"""Networks' weights: a released checkpoint, or seeded random numbers; and the name by which outputs know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from torch import Tensor

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained.checkpoints import ADVICE, fit_state, random_state, read_tensors
from avzsl.runtime.weights import first_use
from extractors.download import download

Tensors = Mapping[str, Tensor]


def load_weights(
    weights: WeightsConfig,
    template: Tensors,
    cache: Path,
    translate: Callable[[Tensors], Tensors] | None = None,
    published: Mapping[str, str] | None = None,
    advice: str = ADVICE,
) -> tuple[dict[str, Tensor], str, bool]:
    """Return the state dict for `template`'s names and shapes, its identity, and whether it is random.

    `translate` gives the file's tensors the names and shapes of `template`; `published` as in `locate`;
    `advice` ends what is said of a file of another layout.
    The identity is `random:SEED` or `sha256:...` of the checkpoint file. Raises ConfigError if the configuration names no
    weights or more than one kind, DataError if a file is missing or wrong.
    """
    if weights.random_seed is not None:
        if weights.path or weights.url:
            raise ConfigError("features: weights: give either random_seed or path/url, not both")
        return random_state(template, weights.random_seed), f"random:{weights.random_seed}", True
    path, digest = locate(weights, cache, published)
    tensors = read_tensors(path, advice)
    return fit_state(path, translate(tensors) if translate else tensors, template, advice), f"sha256:{digest}", False


def locate(weights: WeightsConfig, cache: Path, published: Mapping[str, str] | None = None) -> tuple[Path, str]:
    """Return the file of weights given by path or URL, and its SHA-256; a URL is fetched into `cache` once.

    `published` has checksums by the names of published files: a file of such a name must have it, unless the
    configuration gives a checksum of its own. Without that, the project's first use is recorded and must hold
    (`avzsl.runtime.weights`). Raises ConfigError if neither is given, DataError if the file is missing or another one.
    """
    name = Path(urlsplit(weights.url or "").path if weights.url and not weights.path else weights.path or "").name
    known = (published or {}).get(name)
    if weights.path:
        path = Path(weights.path).expanduser()
        if not path.is_file():
            raise DataError(
                path, "the weights file of features.weights.path does not exist; correct the path or give a url"
            )
        digest = sha256_file(path)
        if weights.sha256 and digest != weights.sha256.lower():
            raise DataError(path, f"has sha256 {digest}, but features.weights.sha256 says {weights.sha256}")
        if known and not weights.sha256 and digest != known:
            raise DataError(
                path,
                f"has sha256 {digest}, the published file of this name {known}; fetch it again, or give its `sha256`",
            )
        return path, digest if weights.sha256 else first_use(weights.path, path, digest)
    if weights.url:
        path, digest = download(weights.url, cache, weights.sha256 or known)
        return path, digest if weights.sha256 else first_use(weights.url, path, digest)
    raise ConfigError("features: weights: give one of random_seed, path or url")
