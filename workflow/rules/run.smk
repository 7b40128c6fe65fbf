# A method trained and evaluated with one seed on one benchmark.


rule run:
    input:
        unpack(run_parts),
        clips=rules.benchmark.output.clips,
        classes=rules.benchmark.output.classes,
        summary=rules.benchmark.output.summary,
    output:
        run=f"{RESULTS}/benchmarks/{{benchmark}}/runs/{{method}}/seed-{{seed}}/run.json",
        history=f"{RESULTS}/benchmarks/{{benchmark}}/runs/{{method}}/seed-{{seed}}/history.parquet",
        predictions=f"{RESULTS}/benchmarks/{{benchmark}}/runs/{{method}}/seed-{{seed}}/predictions.parquet",
        scores=f"{RESULTS}/benchmarks/{{benchmark}}/runs/{{method}}/seed-{{seed}}/scores.safetensors",
        model=f"{RESULTS}/benchmarks/{{benchmark}}/runs/{{method}}/seed-{{seed}}/model.safetensors",
    log:
        f"{LOGS}/benchmarks/{{benchmark}}/{{method}}-seed-{{seed}}.log",
    benchmark:
        f"{LOGS}/benchmarks/{{benchmark}}/{{method}}-seed-{{seed}}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
        gpu=gpus,
    params:
        settings=method_settings,
    script:
        "../scripts/run.py"
