"""Turn the phrases of a data set's classes into vectors."""

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"embeddings {snakemake.wildcards.dataset}"):
    with importing():
        from avzsl.config.embeddings import EmbeddingsConfig
        from avzsl.contracts.schemas import CLASSES
        from avzsl.contracts.tables import read_table
        from avzsl.embeddings import embed_classes, write_embeddings
        from avzsl.runtime.weights import lock_weights

    lock_weights(snakemake.params.weights_lock)
    settings = EmbeddingsConfig.model_validate(snakemake.params.embeddings)
    write_embeddings(embed_classes(read_table(snakemake.input.classes, CLASSES), settings), snakemake.output[0])
