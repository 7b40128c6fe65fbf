# Clips and classes -> seen/unseen subsets, and their audit. No video is needed.


rule split:
    input:
        clips=f"{RESULTS}/{{dataset}}/catalog/clips.parquet",
        classes=f"{RESULTS}/{{dataset}}/catalog/classes.parquet",
    output:
        clips=f"{RESULTS}/{{dataset}}/splits/{{split}}/split.parquet",
        classes=f"{RESULTS}/{{dataset}}/splits/{{split}}/classes.parquet",
        audit=f"{RESULTS}/{{dataset}}/splits/{{split}}/audit.json",
        page=report(
            f"{RESULTS}/{{dataset}}/splits/{{split}}/audit.md",
            category="Splits",
            labels={"what": "audit of {dataset}, {split}", "as": "Markdown"},
            caption="../report/audit.rst",
        ),
    log:
        f"{LOGS}/{{dataset}}/splits/{{split}}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        settings=lambda w: project.dataset(w.dataset)
        .splits[w.split]
        .model_dump(mode="json"),
        cache=f"{DATA}/{{dataset}}/metadata",
    script:
        "../scripts/split.py"


rule splits:
    input:
        [
            f"{RESULTS}/{dataset}/splits/{split}/split.parquet"
            for dataset in DATASETS
            for split in project.dataset(dataset).splits
        ],
