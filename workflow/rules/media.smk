# Clips -> media files and a manifest row for every clip.


rule media:
    input:
        clips=f"{RESULTS}/{{dataset}}/catalog/shards/{{shard}}.parquet",
        catalog=after_catalog,
    output:
        manifest=f"{RESULTS}/{{dataset}}/media/{{shard}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/media/{{shard}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/media/{{shard}}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(720),
        network=1,
    params:
        sources=lambda w: [
            s.model_dump(mode="json") for s in project.dataset(w.dataset).sources
        ],
        media=lambda w: project.dataset(w.dataset).media.model_dump(mode="json"),
        folder=f"{DATA}/{{dataset}}/media/{{shard}}",
        state=f"{DATA}/state",
    script:
        "../scripts/media.py"


# For a machine with a network that fetches before others compute. (--until stops at a checkpoint.)
rule all_media:
    input:
        [
            f"{RESULTS}/{dataset}/media/{shard}.parquet"
            for dataset in DATASETS
            for shard in shards_of(dataset)
        ],
