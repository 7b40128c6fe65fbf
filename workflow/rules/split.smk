# Clips and classes -> seen/unseen subsets, and their audit. No video is needed.


rule split:
    input:
        clips=PLACES.catalog_clips("{dataset}"),
        classes=PLACES.catalog_classes("{dataset}"),
    output:
        clips=PLACES.split_clips("{dataset}", "{split}"),
        classes=PLACES.split_classes("{dataset}", "{split}"),
        audit=PLACES.audit("{dataset}", "{split}"),
        page=report(
            PLACES.audit_page("{dataset}", "{split}"),
            category="Splits",
            labels={"what": "audit of {dataset}, {split}", "as": "Markdown"},
            caption="../report/audit.rst",
        ),
    log:
        LOGS / "{dataset}" / "splits" / "{split}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of("split"),
        runtime=minutes(30),
    params:
        settings=lambda w: project.dataset(w.dataset).splits[w.split]
        # Copies of clips are looked for when media are there.
        .model_dump(mode="json", exclude={"copies"}),
        cache=how(lambda w: str(PLACES.metadata(w.dataset))),
    script:
        "../scripts/split.py"


# It makes no file, so it is done whenever it is asked for: whoever asks for splits wants to know what the audits found.
rule splits:
    input:
        [
            PLACES.split_clips(dataset, split)
            for dataset in DATASETS
            for split in project.dataset(dataset).splits
        ],
    log:
        LOGS / "splits.log",
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        project=record_of(project),
        results=how(str(PLACES.results)),
    script:
        "../scripts/splits.py"
