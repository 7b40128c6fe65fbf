# Clips -> media files and a manifest row for every clip.


rule media:
    input:
        clips=PLACES.clips("{dataset}", "{shard}"),
        catalog=after_catalog,
    output:
        manifest=PLACES.manifest("{dataset}", "{shard}"),
    log:
        LOGS / "{dataset}" / "media" / "{shard}.log",
    benchmark:
        LOGS / "{dataset}" / "media" / "{shard}.benchmark.tsv"
    priority: shard_priority
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(720),
        network=1,
    params:
        settings=media_settings,
        folder=str(PLACES.media("{dataset}", "{shard}")),
        secrets=how(lambda w: secrets_of(project, w.dataset)),
        state=how(str(PLACES.state)),
        shared=how(project.shared_cache),
    script:
        "../scripts/media.py"


# For a machine with a network that fetches before others compute. (--until stops at a checkpoint.)
rule all_media:
    input:
        [
            PLACES.manifest(dataset, shard)
            for dataset in DATASETS
            for shard in shards_here(dataset)
        ],
