"""Train the audio network of a feature set on the training clips of its split's seen classes."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"audio network {snakemake.wildcards.dataset}/{snakemake.wildcards.features}"):
    with importing():
        from avzsl.contracts.hashing import sha256_file
        from avzsl.contracts.schemas import CLIPS, MEDIA, SPLIT, SPLIT_CLASSES
        from avzsl.contracts.tables import read_table
        from extractors.i3d_audiocnn import Training
        from extractors.i3d_audiocnn.training import train_audio_network
        from extractors.i3d_audiocnn.training_clips import choose_clips

    params, given = snakemake.params, snakemake.input
    training = Training.model_validate(params.settings)
    heard = choose_clips(
        read_table(given.split, SPLIT),
        read_table(given.classes, SPLIT_CLASSES),
        read_table(given.clips, CLIPS),
        [read_table(path, MEDIA) for path in given.manifests],
        where=Path(given.split),
        disjoint=params.disjoint,
        held_out=training.held_out,
    )
    train_audio_network(
        heard,
        training,
        Path(snakemake.output.weights),
        Path(snakemake.output.record),
        device=params.device,
        threads=snakemake.threads,
        split_hash=sha256_file(given.split),
    )
