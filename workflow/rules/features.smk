# Media -> steps of features a shard, then the averages of the whole data set.


rule extract:
    input:
        manifest=PLACES.manifest("{dataset}", "{shard}"),
        catalog=after_catalog,
    output:
        arrays=PLACES.shard_arrays("{dataset}", "{features}", "{shard}"),
        manifest=PLACES.shard_manifest("{dataset}", "{features}", "{shard}"),
    log:
        LOGS / "{dataset}" / "features" / "{features}" / "{shard}.log",
    benchmark:
        LOGS / "{dataset}" / "features" / "{features}" / "{shard}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: feeders
    resources:
        mem_mb=memory(8000),
        runtime=minutes(240),
        gpu=gpus,
    params:
        settings=extraction,
        lean=how(lean),
        secrets=how(lambda w: secrets_of(project, w.dataset)),
        results=how(str(PLACES.results)),
        data=how(str(PLACES.data)),
        shared=how(project.shared_cache),
        device=how(project.config.device),
        gpu_jobs=how(project.config.gpu_jobs),
    script:
        "../scripts/extract.py"


# In the place of extraction, where the features exist already: one shard of all clips.
rule import_features:
    input:
        clips=PLACES.catalog_clips("{dataset}"),
    output:
        arrays=PLACES.imported_arrays("{dataset}", "{features}"),
        manifest=PLACES.imported_manifest("{dataset}", "{features}"),
    log:
        LOGS / "{dataset}" / "features" / "{features}" / "import.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    params:
        settings=importing,
        files=lambda w: names_below(
            project.features(w.features).imported_from(w.dataset)
        ),
    script:
        "../scripts/import_features.py"


rule pack:
    input:
        unpack(pack_parts),
    output:
        arrays=PLACES.pack("{dataset}", "{features}"),
        manifest=PLACES.pack_manifest("{dataset}", "{features}"),
    log:
        LOGS / "{dataset}" / "features" / "{features}" / "pack.log",
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
        PLACES.steps("{dataset}", "{features}"),
    log:
        LOGS / "{dataset}" / "features" / "{features}" / "steps.log",
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
            PLACES.pack(benchmark.dataset, benchmark.features)
            for benchmark in project.benchmarks.values()
        ],
