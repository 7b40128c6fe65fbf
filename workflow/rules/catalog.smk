# Metadata -> clips and classes; then, with the splits, the clips to fetch, in shards.


for dataset in DATASETS:

    if project.dataset(dataset).catalog.module == "demo":

        # The demo's videos do not exist before they are rendered.
        rule:
            name:
                f"world_{rule_name(dataset)}"
            output:
                world_index(dataset),
            log:
                LOGS / dataset / "world.log",
            conda:
                "../../environment.yml"
            threads: 2
            resources:
                mem_mb=memory(2000),
                runtime=minutes(30),
            params:
                world=project.options_of_catalog(dataset).world.model_dump(mode="json"),
            script:
                "../scripts/world.py"

    rule:
        name:
            f"catalog_{rule_name(dataset)}"
        input:
            [world_index(dataset)]
            if project.dataset(dataset).catalog.module == "demo"
            else [],
        output:
            clips=PLACES.catalog_clips(dataset),
            classes=PLACES.catalog_classes(dataset),
            notes=PLACES.catalog_notes(dataset),
        log:
            LOGS / dataset / "catalog.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=minutes(60),
            network=1,
        params:
            dataset=dataset,
            settings=dataset_part(
                project.dataset(dataset), "catalog", "phrases", "shards"
            ),
            listing=lambda w, name=dataset: listing(name),
            cache=how(str(PLACES.metadata(dataset))),
        script:
            "../scripts/catalog.py"

    # One rule a data set, since the number of its shards is part of the rule's outputs: a shard whose clips
    # did not change keeps its checksum, and nothing after it runs again.
    rule:
        name:
            f"shards_{rule_name(dataset)}"
        input:
            clips=PLACES.catalog_clips(dataset),
            splits=[PLACES.split_clips(dataset, s) for s in splits_of_media(dataset)],
        output:
            shards=[PLACES.clips(dataset, shard) for shard in shards_of(dataset)],
            used=PLACES.used(dataset),
        log:
            LOGS / dataset / "shards.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory_of("shards", dataset),
            runtime=minutes(30),
        params:
            dataset=dataset,
            splits=splits_of_media(dataset),
            shards=project.dataset(dataset).shards,
            media=project.dataset(dataset).media.model_dump(
                mode="json", include={"what", "order"}
            ),
            results=how(str(PLACES.results)),
        script:
            "../scripts/shards.py"

    # So that unchanged shards are seen in the same run (after_catalog); the shape of the DAG does not depend on it.
    # With one output, since Snakemake goes through all outputs of a checkpoint for every job after it.
    checkpoint:
        name:
            f"catalogued_{rule_name(dataset)}"
        input:
            PLACES.used(dataset),
            # Whoever has a word without a vector learns it before any media are fetched; other vectors fetch nothing again.
            ancient(PLACES.embeddings(dataset)),
        output:
            touch(PLACES.catalogued(dataset)),
        localrule: True


rule embeddings:
    input:
        classes=PLACES.catalog_classes("{dataset}"),
    output:
        PLACES.embeddings("{dataset}"),
    log:
        LOGS / "{dataset}" / "embeddings.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        embeddings=lambda w: project.dataset(w.dataset).embeddings.model_dump(
            mode="json"
        ),
        weights_lock=how(WEIGHTS_LOCK),
    script:
        "../scripts/embeddings.py"
