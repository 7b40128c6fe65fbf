"""The page: every section of every benchmark in one file that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.resources
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from avzsl import __version__
from avzsl.config.load import Project
from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import AvzslError
from avzsl.report.all_labels import all_labels
from avzsl.report.audio_network import audio_network_figures
from avzsl.report.audits import sort_checks
from avzsl.report.classes import class_accuracy, confusion_figure, swallowers
from avzsl.report.clipbook import ClipBook
from avzsl.report.croissant import croissant
from avzsl.report.facts import facts
from avzsl.report.figures import Figure
from avzsl.report.funnel import STAGES, category_figure, class_table, funnel, reasons, split_picture, subset_table
from avzsl.report.gallery import gallery, leaning_table
from avzsl.report.leaderboard import COLUMNS, fold_tables, how_tested, leaderboard, preset_pairs
from avzsl.report.open_features import open_features
from avzsl.report.results import BenchmarkFiles, open_benchmarks
from avzsl.report.row_order import DOC, explanation, row_order_costs
from avzsl.report.summary import collect, not_zero_shot
from avzsl.report.training import trade_off_figures, training_figures
from avzsl.report.views import LEARNT, embedding_views, legend

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Sections of every benchmark: the first part of their ids, and their title in the navigation.
NAV = (
    ("clips", "Clips"),
    ("split", "Split"),
    ("curves", "Curves"),
    ("classes", "Classes"),
    ("views", "Embeddings"),
    ("gallery", "Retrieval"),
    ("facts", "Facts"),
)

# Rows of one table of an audit that the page carries; audit.json beside it has the others.
AUDIT_ROWS = 200


def build(project: Project, results: Path, out: Path) -> None:
    """Write the report of all configured benchmarks to `out`, one HTML file that makes no request.

    Every text from data (class names, file names, reasons) is escaped, scripts run only if their hash is in the
    page's own policy, and data for the figures is JSON in which '<' cannot occur.
    Raises DataError that names the file when a stage's output is missing or unreadable.
    """
    summary = collect(project, Path(results))
    figures: dict[str, Any] = {}
    benchmarks = []
    book = ClipBook(Path(out))
    opened = open_benchmarks(project, Path(results))
    # Class splits of one benchmark are alike: the first stands for all, the table of results has the others.
    for benchmark in (b for b in opened if b.split.fold in (None, 1)):
        # Read anew, so that what one section has read is not kept for the next.
        section = _section(project, replace(benchmark), book, Path(out))
        figures |= {figure.id: figure.spec for group in section["figures"].values() for figure in group}
        benchmarks.append(section)
    book.make_previews()
    script = _asset("report.js")
    plotly = _plotly()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("avzsl.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["zip"] = lambda names, values: list(zip(names, values, strict=True))
    page = environment.get_template("index.html.j2").render(
        version=__version__, packed_plotly=Markup(_packed(plotly)), rows=leaderboard(summary), pairs=preset_pairs(summary), folds=fold_tables(summary, opened), not_zero_shot=not_zero_shot(summary), columns=COLUMNS, how_tested=how_tested(), benchmarks=benchmarks,
        row_order=row_order_costs(project, summary, Path(results)), row_order_doc=DOC, row_order_link=explanation(Path(out)),
        nav=NAV, stages=STAGES, audit_rows=AUDIT_ROWS, counts=book.counts, data={"figures": figures, "clips": book.entries}, style=Markup(_asset("report.css")),
        script=Markup(script), script_hashes=[_hash(plotly), _hash(script)],
        interim=[(b.name, *b.record.interim) for b in opened if b.record.interim],
        random=[b["config"].group or b["name"] for b in benchmarks if b["random_weights"]],
    )  # fmt: skip
    write_text(out, page)
    logger.info("%s: %.1f MB", out, len(page.encode()) / 1e6)


def _section(project: Project, benchmark: BenchmarkFiles, book: ClipBook, out: Path) -> dict[str, Any]:
    methods = benchmark.config.methods
    left_out: list[str] = []

    def view(title: str, make: Callable[[], T], nothing: T) -> T:
        """Make one view; what goes wrong with it costs this view and says so, never the page."""
        try:
            return make()
        except AvzslError:
            raise
        except Exception as error:
            logger.warning("%s: the view %r is left out", benchmark.name, title, exc_info=True)
            left_out.append(f"{title} could not be made ({type(error).__name__}: {error}); the log says where.")
            return nothing

    def each(title: str, make: Callable[[str], T | None]) -> list[tuple[str, T]]:
        made = [(method, view(f"{title} of {method}", lambda m=method: make(m), None)) for method in methods]  # type: ignore[misc]
        return [(method, found) for method, found in made if found is not None]

    no_maps: dict[str, list[Figure]] = {"input": [], "learnt": []}
    maps = view("Maps of the embeddings", lambda: embedding_views(benchmark, book), no_maps)
    no_rows: list[dict[str, Any]] = []
    no_figures: list[Figure] = []
    no_legend: list[tuple[str, int, bool]] = []
    confusion = each("Confusion", lambda method: confusion_figure(benchmark, method))
    categories = view("Categories", lambda: category_figure(benchmark), None)
    figures: dict[str, list[Figure]] = {
        "training": [
            *view("Training curves", lambda: training_figures(benchmark), no_figures),
            *view("Audio network", lambda: audio_network_figures(benchmark), no_figures),
        ],
        "trade_off": view("Seen over unseen", lambda: trade_off_figures(benchmark), []),
        "confusion": [figure for _, figure in confusion],
        "categories": [] if categories is None else [categories],
        "input": maps["input"], "learnt": maps["learnt"],
    }  # fmt: skip
    galleries = each("Retrieval", lambda method: gallery(benchmark, method, book))
    dataset = project.dataset(benchmark.config.dataset)
    # What could not be made is None: its part of the page is left out, or the page would say that there is nothing.
    return {
        "name": benchmark.name, "config": benchmark.config, "title": dataset.title or benchmark.config.dataset,
        "licence": dataset.licence, "random_weights": benchmark.random_weights, "figures": figures,
        "open": view("Open features", lambda: open_features(benchmark), None),
        "funnel": view("What became of the clips", lambda: funnel(benchmark.clips), None),
        "reasons": view("Why clips were lost", lambda: reasons(benchmark.clips), None),
        "classes": view("Clips of every class", lambda: class_table(benchmark), None),
        "subsets": view("Subsets", lambda: subset_table(benchmark.clips), None),
        "split": view("Classes by role", lambda: split_picture(benchmark), None),
        "audit": benchmark.audit, "checks": sort_checks({"checks": [*benchmark.audit["checks"], *benchmark.record.checks]}, dataset), "audit_file": benchmark.audit_path.as_posix(),
        "audit_link": _link(benchmark.audit_path.parent, out.parent),
        "all_labels": each("Scores with all labels", lambda method: all_labels(benchmark, benchmark.runs(method)) or None),
        "accuracy": view("Accuracy of every class", lambda: class_accuracy(benchmark), None), "swallowers": dict(each("Swallowed classes", lambda method: swallowers(benchmark, method))),
        "facts": view("Facts", lambda: facts(project, benchmark), None), "galleries": galleries, "learnt_methods": [f.title.removeprefix(LEARNT) for f in figures["learnt"]],
        "leaning": view("Dominant modality", lambda: leaning_table(benchmark), no_rows), "confusion_methods": [method for method, _ in confusion], "left_out": left_out,
        "map_legend": view("Legend of the maps", lambda: legend(benchmark) if figures["input"] else [], no_legend), "croissant": view("Data card", lambda: croissant(benchmark, dataset, out.parent), None),
    }  # fmt: skip


def _link(folder: Path, start: Path) -> str:
    """Return a folder's address relative to the page, with a slash at its end."""
    return quote(Path(os.path.relpath(folder, start)).as_posix()) + "/"


def _asset(name: str) -> str:
    return (importlib.resources.files("avzsl.report") / "templates" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Return plotly.js as the Python package carries it."""
    return (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


@cache
def _packed(script: str) -> str:
    return base64.b64encode(gzip.compress(script.encode("utf-8"), mtime=0)).decode()


def _hash(script: str) -> str:
    """Return a script's source expression of the content security policy."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode() + "'"
