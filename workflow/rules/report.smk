# Runs -> tables and the page.


rule results:
    input:
        unique(file for name in BENCHMARKS for file in results_parts(name)),
    output:
        benchmark=report(
            PLACES.table,
            category="Results",
            labels={"what": "one row a benchmark and method", "as": "CSV"},
            caption="../report/results.rst",
        ),
        runs=report(
            PLACES.runs_table,
            category="Results",
            labels={"what": "one row a run", "as": "CSV"},
            caption="../report/runs.rst",
        ),
        table=report(
            PLACES.table_text,
            category="Results",
            labels={"what": "one row a benchmark and method", "as": "text"},
            caption="../report/table.rst",
        ),
    log:
        LOGS / "results.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of("results", *datasets_of(BENCHMARKS)),
        runtime=minutes(30),
    params:
        project=outline_of(project, BENCHMARKS),
        results=how(str(PLACES.results)),
    script:
        "../scripts/results.py"


rule report:
    input:
        unique(file for name in BENCHMARKS for file in report_parts(name)),
    output:
        report(
            PLACES.page,
            category="Results",
            labels={"what": "all results and figures", "as": "page"},
            caption="../report/page.rst",
        ),
    log:
        LOGS / "report.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of("report", *datasets_of(BENCHMARKS)),
        runtime=minutes(30),
    params:
        project=record_of(project),
        results=how(str(PLACES.results)),
        # Read where they are there, and named here since they are no input.
        costs=how(
            unique(str(file) for name in BENCHMARKS for file in report_costs(name))
        ),
    script:
        "../scripts/report.py"


rule tables:
    input:
        unique(file for name in BENCHMARKS for file in tables_parts(name)),
    output:
        directory(PLACES.tables),
    log:
        LOGS / "tables.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_of("tables", *datasets_of(BENCHMARKS)),
        runtime=minutes(30),
    params:
        project=outline_of(project, BENCHMARKS),
        results=how(str(PLACES.results)),
    script:
        "../scripts/tables.py"


# A target for each benchmark: `snakemake --cores all benchmark_demo`.
for name in [*BENCHMARKS, *GROUPS]:

    rule:
        name:
            f"benchmark_{rule_name(name)}"
        input:
            [file for part in parts_of(name) for file in results_parts(part)],
        output:
            PLACES.benchmark_table(name),
        log:
            LOGS / "benchmarks" / name / "results.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory_of("results", *datasets_of(parts_of(name))),
            runtime=minutes(30),
        params:
            benchmark=name,
            project=outline_of(project, parts_of(name)),
            results=how(str(PLACES.results)),
        script:
            "../scripts/results.py"
