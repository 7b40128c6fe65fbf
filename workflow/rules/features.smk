# Media -> steps of features a shard, then the averages of the whole data set.


# Only for feature sets with a network that is trained here: after the split, before extraction.
rule train_audio_network:
    input:
        split=lambda w: PLACES.split_clips(
            w.dataset, trained_split(w.dataset, w.features)
        ),
        classes=lambda w: PLACES.split_classes(
            w.dataset, trained_split(w.dataset, w.features)
        ),
        clips=PLACES.catalog_clips("{dataset}"),
        manifests=lambda w: [
            PLACES.manifest(w.dataset, shard) for shard in shards_of(w.dataset)
        ],
    output:
        weights=PLACES.audio_network("{dataset}", "{features}"),
        record=PLACES.audio_network_record("{dataset}", "{features}"),
    log:
        LOGS / "{dataset}" / "features" / "{features}" / "audio_network.log",
    conda:
        "../../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(8000),
        runtime=minutes(1440),
        gpu=gpus,
    params:
        settings=lambda w: project.options_of_extractor(w.features).trains.model_dump(
            mode="json"
        ),
        disjoint=lambda w: project.dataset(w.dataset)
        .splits[trained_split(w.dataset, w.features)]
        .flavour
        == "source_disjoint",
        device=how(project.config.device),
    script:
        "../scripts/train_audio_network.py"


rule extract:
    input:
        manifest=PLACES.manifest("{dataset}", "{shard}"),
        catalog=after_catalog,
        network=trained_network,
    output:
        arrays=PLACES.shard_arrays("{dataset}", "{features}", "{shard}"),
        manifest=PLACES.shard_manifest("{dataset}", "{features}", "{shard}"),
    log:
        LOGS / "{dataset}" / "features" / "{features}" / "{shard}.log",
    benchmark:
        LOGS / "{dataset}" / "features" / "{features}" / "{shard}.benchmark.tsv"
    priority: shard_priority
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
        weights_lock=how(WEIGHTS_LOCK),
        secrets=how(lambda w: secrets_of(project, w.dataset)),
        results=how(str(PLACES.results)),
        data=how(str(PLACES.data)),
        shared=how(project.shared_cache),
        device=how(project.config.device),
        gpu_jobs=how(project.config.gpu_jobs),
        decoder=how(project.config.decoder),
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
        mem_mb=memory_of("pack"),
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
        mem_mb=memory_of("steps"),
        runtime=minutes(120),
    script:
        "../scripts/steps.py"


rule features:
    input:
        [
            PLACES.pack(benchmark.dataset, benchmark.features)
            for benchmark in project.benchmarks.values()
        ],
