# Split + features + class embeddings -> a benchmark that methods can be run on.


rule benchmark:
    input:
        unpack(benchmark_parts),
    output:
        clips=PLACES.benchmark_clips("{benchmark}"),
        classes=PLACES.benchmark_classes("{benchmark}"),
        summary=PLACES.benchmark_record("{benchmark}"),
    log:
        LOGS / "benchmarks" / "{benchmark}" / "benchmark.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of("benchmark"),
        runtime=minutes(30),
    params:
        settings=lambda w: split_of(w.benchmark).model_dump(
            mode="json", include={"copies", "gates"}
        ),
        interim=interim,
    script:
        "../scripts/benchmark.py"
