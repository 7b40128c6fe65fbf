from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import DataError
from avzsl.report import build
from avzsl.report.classes import class_accuracy
from avzsl.report.leaderboard import Cell
from avzsl.report.results import open_benchmarks
from tests.report.world import HOSTILE, World, make_world


@pytest.fixture(scope="module")
def page(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report" / "index.html"
    build(world.project, world.results, out)
    return out.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Collects scripts, ids and everything that would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.loads, self.ids, self.targets = 0, [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.scripts += tag == "script"
        if values.get("id"):
            self.ids.append(values["id"])
        for key in ("src", "href", "poster", "srcset", "data", "action"):
            # A link to a file beside the page is followed by people only.
            beside = ("../",) if tag == "a" else ()
            if key in values and not values[key].startswith(("#", "data:", *beside)):
                self.loads.append((tag, key, values[key]))
        if values.get("href", "").startswith("#"):
            self.targets.append(values["href"][1:])
        for key in ("aria-controls", "aria-labelledby"):
            self.targets += values.get(key, "").split()


def test_names_are_only_names(page: str) -> None:
    assert HOSTILE not in page
    elements = Elements()
    elements.feed(page)
    assert elements.scripts == 3 + 2  # data, plotly, the page's own; two data cards
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    elements = Elements()
    elements.feed(page)
    assert elements.loads == []
    assert "default-src 'none'" in page


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    elements = Elements()
    elements.feed(page)
    assert len(elements.ids) == len(set(elements.ids))
    prefixed = {i.split("-", 1)[0] for i in elements.ids}
    assert [t for t in elements.targets if t not in elements.ids and t not in prefixed] == []


def test_figures_are_plain_json_without_markup(page: str) -> None:
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert block
    assert "<" not in block.group(1)
    figures = json.loads(block.group(1))["figures"]
    assert {f.split("-")[0] for f in figures} >= {"loss", "hm", "tradeoff", "beta", "confusion"}
    for node in re.findall(r'data-figure="([^"]+)"', page):
        assert node in figures


def test_page_says_what_matters(page: str) -> None:
    for text in (
        "Random weights",
        "chance",
        "no_audio_stream",
        "test-seen clips that share their source",
        "seed-" and "snakemake",
    ):
        assert text in page


def test_page_is_light(page: str) -> None:
    assert len(page.encode()) < 10_000_000


def test_same_results_give_the_same_page(world: World, tmp_path: Path) -> None:
    build(world.project, world.results, tmp_path / "a.html")
    build(world.project, world.results, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_methods_without_a_learnt_space_leave_those_views_out(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    for name in ("toy", "toy-released"):
        for path in (world.results / "benchmarks" / name / "runs" / "cjme").glob("*/scores.safetensors"):
            arrays, header = read_arrays(path)
            write_arrays(path, {"distances": arrays["distances"]}, header)
    build(world.project, world.results, tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "view-toy-learnt-avca" in text
    assert "view-toy-learnt-cjme" not in text
    assert "tab-gallery-toy-2" not in text


def test_missing_audit_is_one_sentence_with_its_file(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    (world.results / "toy" / "splits" / "default" / "audit.json").unlink()
    with pytest.raises(DataError, match="audit"):
        build(world.project, world.results, tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()


def test_audit_findings_lead_to_their_rows(page: str) -> None:
    links = re.findall(r'href="(\.\./[^"]*audit\.(?:json|md))"', page)
    assert len(links) >= 2
    assert "Rows: 2" in page


def test_a_long_audit_is_cut_visibly(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    path = world.results / "toy" / "splits" / "default" / "audit.json"
    audit = json.loads(path.read_text(encoding="utf-8"))
    audit["checks"][1] |= {"count": 1500, "total": 2000, "examples": [f"clip-{i:04d} with other" for i in range(1000)]}
    overlap = {"class_name": HOSTILE, "label_set": "kinetics400", "label": "x", "kind": "word", "evidence": "x"}
    path.write_text(json.dumps(audit | {"overlap": [overlap]}), encoding="utf-8")
    out = world.results / "report" / "index.html"
    build(world.project, world.results, out)
    text = out.read_text(encoding="utf-8")
    assert "Rows: 1000 of 1500" in text
    assert "clip-0199" in text
    assert "clip-0200" not in text
    assert HOSTILE not in text
    assert "Classes that pre-training label sets hold: 1" in text
    [link] = set(re.findall(r'href="(\.\./[^"]*audit\.json)"', text))
    assert (out.parent / link).resolve() == path.resolve()


def test_a_difference_in_standard_deviations_needs_a_spread() -> None:
    cell = Cell("hm", 30.0, 2.0, None, None, "", 5.0, 27.0, True, ())
    assert (cell.difference, cell.deviations) == (3.0, 1.5)
    assert replace(cell, std=0.0).deviations is None
    assert replace(cell, std=None).deviations is None


@pytest.mark.parametrize("lost", ["visual", "audio"])
def test_a_method_of_one_modality_is_drawn(tmp_path: Path, lost: str) -> None:
    world = make_world(tmp_path)
    for path in (world.results / "benchmarks/toy/runs/avca").glob("seed-*/scores.safetensors"):
        arrays, header = read_arrays(path)
        header.pop("checksum", None)
        write_arrays(path, {name: array for name, array in arrays.items() if name != lost}, header)
    out = tmp_path / "index.html"
    build(world.project, world.results, out)
    assert "learnt-avca" in out.read_text(encoding="utf-8")


def test_the_page_says_how_many_sources_a_class_has(world: World, page: str) -> None:
    files = open_benchmarks(world.project, world.results)[0]
    tested = files.runs("avca")[0].predictions
    counts = tested["clip_id"].map(files.sources).groupby(tested["class_name"]).nunique()
    rows = class_accuracy(files)
    assert {row["name"]: row["sources"] for row in rows} == counts.to_dict()
    assert counts.nunique() > 1, "seen classes have one source here, unseen ones six"
    for row in rows:
        begin = f'<td class="n opt">{row["clips"]}</td><td class="n opt">{row["sources"]}</td>'
        name = f'<tr><th scope="row">{escape(row["name"])}</th>'
        assert name + f'<td class="opt">{row["subset"]}</td>' + begin in page


def test_where_clips_are_too_few_there_is_a_sentence_and_no_mark(page: str) -> None:
    cells = re.findall(r'<td class="n metric" data-label="(\w+)"[^>]*>(.*?)<template', page, re.DOTALL)
    few = {label for label, cell in cells if "too few clips for an interval" in cell}
    assert few == {"S", "HM"}
    assert {label for label, _ in cells if label not in few} == {"U", "ZSL"}
    assert any("†" in cell for label, cell in cells if label not in few), "this world has marks elsewhere"
    for label, cell in cells:
        if label in few:
            assert "too few clips for an interval" in cell and "†" not in cell, label
            assert not re.search(r"\d–\d", cell), "nor an interval"


def test_every_figure_can_be_saved_as_svg_and_its_data_as_csv(page: str) -> None:
    figures = re.findall(r'data-figure="([^"]+)"', page)
    assert len(figures) > 10
    for kind in ("svg", "csv"):
        assert re.findall(rf'data-save="{kind}" data-of="([^"]+)"', page) == figures


def test_passed_checks_are_one_line_below_the_findings(page: str) -> None:
    audit = page.split("<h4>Audit</h4>")[1].split("</section>", maxsplit=1)[0]
    shown, folded = audit.split("<details><summary>1 check passed</summary>")
    assert "unseen test classes with clips in training" not in shown and "0 of 3" in folded
    assert "2 of 8 test-seen clips that share their source" in shown
    assert "Unknown how many of 6 unseen classes that overlap with sports1m; not checked: no network" in shown
