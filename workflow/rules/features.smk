# Media -> steps of features a shard, then the averages of the whole data set.


rule extract:
    input:
        manifest=f"{RESULTS}/{{dataset}}/media/{{shard}}.parquet",
        catalog=after_catalog,
    output:
        arrays=f"{RESULTS}/{{dataset}}/features/{{features}}/shards/{{shard}}.safetensors",
        manifest=f"{RESULTS}/{{dataset}}/features/{{features}}/shards/{{shard}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/features/{{features}}/{{shard}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/features/{{features}}/{{shard}}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(8000),
        runtime=minutes(240),
        gpu=gpus,
    params:
        settings=lambda w: project.features(w.features).model_dump(
            mode="json", exclude={"title"}
        ),
        cache=f"{DATA}/weights",
    script:
        "../scripts/extract.py"


# In the place of extraction, where the features exist already: one shard of all clips.
rule import_features:
    input:
        clips=f"{RESULTS}/{{dataset}}/catalog/clips.parquet",
    output:
        arrays=f"{RESULTS}/{{dataset}}/features/{{features}}/imported.safetensors",
        manifest=f"{RESULTS}/{{dataset}}/features/{{features}}/imported.parquet",
    log:
        f"{LOGS}/{{dataset}}/features/{{features}}/import.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    params:
        settings=lambda w: project.features(w.features).model_dump(
            mode="json", exclude={"title"}
        ),
        files=lambda w: imported_files(w.dataset, w.features),
    script:
        "../scripts/import_features.py"


rule pack:
    input:
        unpack(pack_parts),
    output:
        arrays=f"{RESULTS}/{{dataset}}/features/{{features}}/packed.safetensors",
        manifest=f"{RESULTS}/{{dataset}}/features/{{features}}/packed.parquet",
    log:
        f"{LOGS}/{{dataset}}/features/{{features}}/pack.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    script:
        "../scripts/pack.py"


# Only for methods of sequences: all shards' steps in one file, with the rows of the pack.
rule steps:
    input:
        arrays=lambda w: pack_parts(w)["arrays"],
        pack=rules.pack.output.arrays,
    output:
        f"{RESULTS}/{{dataset}}/features/{{features}}/steps.safetensors",
    log:
        f"{LOGS}/{{dataset}}/features/{{features}}/steps.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(120),
    script:
        "../scripts/steps.py"


rule features:
    input:
        [
            f"{RESULTS}/{benchmark.dataset}/features/{benchmark.features}/packed.safetensors"
            for benchmark in project.benchmarks.values()
        ],
