# Split + features + class embeddings -> a benchmark that methods can be run on.


def benchmark_parts(wildcards):
    benchmark = project.benchmarks[wildcards.benchmark]
    folder = f"{RESULTS}/{benchmark.dataset}"
    pack = f"{folder}/features/{benchmark.features}/packed"
    return {
        "media": [f"{folder}/media/{shard}.parquet" for shard in shards_of(benchmark.dataset)],
        "split": f"{folder}/splits/{benchmark.split}/split.parquet",
        "split_classes": f"{folder}/splits/{benchmark.split}/classes.parquet",
        "arrays": f"{pack}.safetensors",
        "manifest": f"{pack}.parquet",
        "embeddings": f"{folder}/embeddings.safetensors",
    }


rule benchmark:
    input:
        unpack(benchmark_parts),
    output:
        clips=f"{RESULTS}/benchmarks/{{benchmark}}/clips.parquet",
        classes=f"{RESULTS}/benchmarks/{{benchmark}}/classes.parquet",
        summary=f"{RESULTS}/benchmarks/{{benchmark}}/benchmark.json",
    log:
        f"{LOGS}/benchmarks/{{benchmark}}/benchmark.log",
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    script:
        "../scripts/benchmark.py"
