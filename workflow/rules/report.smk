# Runs -> tables and the page.


rule results:
    input:
        [run for name in BENCHMARKS for run in runs_of(name)],
    output:
        benchmark=report(
            f"{RESULTS}/benchmark.csv",
            category="Results",
            labels={"what": "one row a benchmark and method", "as": "CSV"},
            caption="../report/results.rst",
        ),
        runs=report(
            f"{RESULTS}/runs.csv",
            category="Results",
            labels={"what": "one row a run", "as": "CSV"},
            caption="../report/runs.rst",
        ),
        table=report(
            f"{RESULTS}/benchmark.txt",
            category="Results",
            labels={"what": "one row a benchmark and method", "as": "text"},
            caption="../report/table.rst",
        ),
    log:
        f"{LOGS}/results.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        settings=settings_of(BENCHMARKS),
    script:
        "../scripts/results.py"


rule report:
    input:
        rules.results.output,
        [
            f"{RESULTS}/{project.benchmarks[name].dataset}/splits/{project.benchmarks[name].split}/audit.json"
            for name in BENCHMARKS
        ],
    output:
        report(
            f"{RESULTS}/report/index.html",
            category="Results",
            labels={"what": "all results and figures", "as": "page"},
            caption="../report/page.rst",
        ),
    log:
        f"{LOGS}/report.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        settings=settings_of(BENCHMARKS),
    script:
        "../scripts/report.py"


rule tables:
    input:
        rules.results.output,
    output:
        directory(f"{RESULTS}/tables"),
    log:
        f"{LOGS}/tables.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings_of(BENCHMARKS),
    script:
        "../scripts/tables.py"


# A target for each benchmark: `snakemake --cores all benchmark_demo`.
for name in [*BENCHMARKS, *GROUPS]:

    rule:
        name:
            f"benchmark_{rule_name(name)}"
        input:
            [run for part in parts_of(name) for run in runs_of(part)],
        output:
            f"{RESULTS}/benchmarks/{name}/results.csv",
        log:
            f"{LOGS}/benchmarks/{name}/results.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory(4000),
            runtime=minutes(30),
        params:
            benchmark=name,
            settings=settings_of(parts_of(name)),
        script:
            "../scripts/results.py"
