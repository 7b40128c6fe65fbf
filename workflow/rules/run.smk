# A method trained and evaluated with one seed on one benchmark.


RUN = PLACES.run("{benchmark}", "{method}", "{seed}")


rule run:
    input:
        unpack(run_parts),
        clips=rules.benchmark.output.clips,
        classes=rules.benchmark.output.classes,
        summary=rules.benchmark.output.summary,
    output:
        run=RUN.record,
        history=RUN.history,
        predictions=RUN.predictions,
        scores=RUN.scores,
        model=RUN.model,
    log:
        LOGS / "benchmarks" / "{benchmark}" / "{method}-seed-{seed}.log",
    benchmark:
        LOGS / "benchmarks" / "{benchmark}" / "{method}-seed-{seed}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of("run"),
        runtime=minutes(240),
        gpu=gpus,
    params:
        settings=settings_of_run,
        checkpoint_seconds=how(checkpoint_seconds),
        device=how(project.config.device),
        tracking=how(project.config.tracking),
        seeds=how(lambda w: list(project.benchmarks[w.benchmark].seeds)),
        most_together=how(project.config.seeds_together),
    script:
        "../scripts/run.py"
