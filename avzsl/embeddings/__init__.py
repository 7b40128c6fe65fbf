"""Class embeddings: the phrase of every class as a vector of unit norm, looked up by class name."""

from avzsl.contracts.class_embeddings import ClassEmbeddings, read_embeddings, write_embeddings
from avzsl.embeddings.embed import embed_classes

__all__ = ["ClassEmbeddings", "embed_classes", "read_embeddings", "write_embeddings"]
