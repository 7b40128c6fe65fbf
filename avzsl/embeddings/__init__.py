"""Class embeddings: the phrase of every class as a vector of unit norm, looked up by class name.

Importing this package loads nothing heavy, so that backends' options are checked at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avzsl.contracts.class_embeddings import ClassEmbeddings, read_embeddings, write_embeddings
    from avzsl.embeddings.embed import embed_classes

__all__ = ["ClassEmbeddings", "embed_classes", "read_embeddings", "write_embeddings"]


def __getattr__(name: str) -> Any:
    if name == "embed_classes":
        from avzsl.embeddings.embed import embed_classes

        return embed_classes
    if name in __all__:
        from avzsl.contracts import class_embeddings

        return getattr(class_embeddings, name)
    raise AttributeError(f"module 'avzsl.embeddings' has no attribute {name!r}")
