"""Average the windows of every clip and put all shards of a data set into one file, or import published averages."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake, f"pack {snakemake.wildcards.dataset}"):
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table
    from extractors import pack
    from extractors.published import import_features

    arrays, manifest = Path(snakemake.output.arrays), Path(snakemake.output.manifest)
    if snakemake.params.released is not None:
        folder = Path(snakemake.params.released.replace("{dataset}", snakemake.wildcards.dataset)).expanduser()
        listed = read_table(snakemake.input.clips, CLIPS)["clip_id"]
        import_features(folder, arrays, manifest, listed, snakemake.params.extractor)
    else:
        shards = [(Path(a), Path(m)) for a, m in zip(snakemake.input.arrays, snakemake.input.manifests, strict=True)]
        pack(shards, arrays, manifest)
