"""Write every table of the two papers for every benchmark."""

from __future__ import annotations

from pathlib import Path

from avzsl.config.load import Project
from avzsl.contracts.atomic import write_text
from avzsl.published import SOURCES
from avzsl.tables.counts import counts
from avzsl.tables.fill import Cell, Measured, Row, fill
from avzsl.tables.layout import IMAGES_TABLE, LAYOUTS, METRICS, Layout
from avzsl.tables.render import Grid, to_csv, to_latex, to_markdown

NOTHING = "–"


def write_tables(project: Project, results: Path, out: Path) -> list[Path]:
    """Write the tables of the AVCA and CJME papers, in their own layout, for each configured benchmark.

    `results` is the results folder with finished runs. Writes OUT/BENCHMARK/PAPER-table-N.csv, .md and .tex and returns
    their paths. A method that the benchmark does not run keeps its row, empty; where data set, features and split are
    the released ones the printed numbers stand beside ours, with the difference in standard deviations over seeds.
    Raises DataError that names the file if a configured run is missing.
    """
    written: list[Path] = []
    for benchmark in project.benchmarks.values():
        measured, folder = Measured(project, benchmark, results), out / benchmark.name
        for layout in LAYOUTS:
            if layout.datasets and benchmark.dataset not in layout.datasets:
                continue
            rows = fill(layout, measured)
            grid = _grid(layout, measured, rows)
            written += _write(folder / layout.name, _csv(layout, rows, measured.validated_and_tested), grid)
        for name, grid in counts(measured).items():
            written += _write(folder / name, to_csv(grid.headings, grid.rows), grid)
    images = [b for b in project.benchmarks.values() if b.dataset in IMAGES_TABLE.datasets]
    if images:
        grid = _side_by_side(IMAGES_TABLE, [Measured(project, benchmark, results) for benchmark in images])
        written += _write(out / IMAGES_TABLE.name, to_csv(grid.headings, grid.rows), grid)
    return written


def _side_by_side(layout: Layout, all_measured: list[Measured]) -> Grid:
    """Return a table with the benchmarks in columns, as the paper has its data sets; each number with the printed one."""
    shorts = [METRICS[metric] for metric in layout.metrics]
    headings, lines = list(layout.labels), [list(row.labels) for row in fill(layout, all_measured[0])]
    for measured in all_measured:
        headings += [f"{measured.benchmark.name} {part}" for s in shorts for part in (s, f"{s} published")]
        for line, row in zip(lines, fill(layout, measured), strict=True):
            for metric in layout.metrics:
                cell = row.cells[metric]
                line += [_measured(cell), _number(cell.published)]
    names = ", ".join(f"{m.benchmark.name} ({m.benchmark.dataset}, {m.benchmark.preset})" for m in all_measured)
    return Grid(
        f"{layout.caption} Benchmarks: {names}.", headings, lines, len(layout.labels),
        [f"Layout of table {layout.table} of {SOURCES[layout.source]}."],
    )  # fmt: skip


def _write(base: Path, text: str, grid: Grid) -> list[Path]:
    paths = [base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md", "tex")]
    label = f"{base.parent.name}-{base.name}"
    for path, content in zip(paths, (text, to_markdown(grid), to_latex(grid, label)), strict=True):
        write_text(path, content)
    return paths


def _csv(layout: Layout, rows: list[Row], both: int) -> str:
    headings = [*layout.labels, "method", "status", "seeds", "seconds", "classes validated and tested"]
    for metric in layout.metrics:
        short = METRICS[metric]
        headings += [short, f"{short} sd", f"{short} published", f"{short} difference in sd"]
    lines: list[list[object]] = []
    for row in rows:
        line: list[object] = [*row.labels, row.method, row.status, row.seeds or None, row.seconds, both]
        for metric in layout.metrics:
            cell = row.cells[metric]
            line += [cell.mean, cell.sd, cell.published, cell.difference]
        lines.append([*line, row.source])
    return to_csv([*headings, "source"], lines)


def _grid(layout: Layout, measured: Measured, rows: list[Row]) -> Grid:
    """Return the table for people: the paper's columns, then the published ones where there are any."""
    compared = any(cell.published is not None for row in rows for cell in row.cells.values())
    shorts = [METRICS[metric] for metric in layout.metrics]
    headings = [*layout.labels, *shorts]
    if compared:
        headings += [*(f"{short} published" for short in shorts), "Δ HM / σ"]
    lines = []
    for row in rows:
        cells = [row.cells[metric] for metric in layout.metrics]
        line = [*row.labels, *(_measured(cell) for cell in cells)]
        if compared:
            difference = row.cells["hm"].difference
            line += [_number(cell.published) for cell in cells]
            line.append(NOTHING if difference is None else f"{difference:+.1f}")
        lines.append(line)
    benchmark = measured.benchmark
    caption = f"{layout.caption} Benchmark {benchmark.name}: {benchmark.dataset}, {benchmark.features}, split {benchmark.split}, {benchmark.preset}."
    notes = [f"Layout of table {layout.table} of {SOURCES[layout.source]}."]
    if any(row.seeds > 1 for row in rows):
        notes.append(f"Mean ± standard deviation over {len(benchmark.seeds)} seeds.")
    missing = [" ".join(part for part in row.labels if part) for row in rows if row.status == "not run here"]
    if missing:
        notes.append(f"Not run here: {', '.join(missing)}.")
    if any(row.status.startswith("published") for row in rows):
        notes.append("Newer rows are published numbers; those methods were not run here.")
    if measured.not_zero_shot:
        notes.append(f"VALIDATED ON TESTED CLASSES: {measured.not_zero_shot}.")
    if measured.random_weights:
        notes.append(
            "RANDOM WEIGHTS: the features come from untrained networks; the scores say nothing about the methods."
        )
    return Grid(caption, headings, lines, len(layout.labels), notes)


def _measured(cell: Cell) -> str:
    if cell.mean is None:
        return NOTHING
    return f"{cell.mean:.2f}" if cell.sd is None else f"{cell.mean:.2f} ± {cell.sd:.2f}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
