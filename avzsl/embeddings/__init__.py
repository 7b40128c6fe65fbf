"""Class embeddings: the phrase of every class as a vector of unit norm, looked up by class name."""

from avzsl.embeddings.embed import embed_classes
from avzsl.embeddings.store import ClassEmbeddings, read_embeddings, write_embeddings

__all__ = ["ClassEmbeddings", "embed_classes", "read_embeddings", "write_embeddings"]
