"""Released lists as they are, checked against the catalogue."""

from __future__ import annotations

import csv
import functools
import shutil
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from avzsl.config.dataset import DatasetConfig
from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError, DataError
from splits import audit_split, build_split
from splits.catalogs import build_catalog
from splits.export import write_lists


def config(path: object, **keys: object) -> SplitConfig:
    return SplitConfig.model_validate({"flavour": "imported", "lists": {"path": str(path), **keys}, "gates": {}})


@pytest.mark.parametrize("name", ["ucf", "activitynet"])
def test_the_released_lists_agree_with_the_regenerated_ones(name, request):
    benchmark = request.getfixturevalue(name)
    imported = build_split(benchmark.clips, benchmark.classes, config(benchmark.folder))
    rule = {"flavour": "published", "classes": name, "lists": {"path": str(benchmark.folder)}}
    published = build_split(benchmark.clips, benchmark.classes, SplitConfig.model_validate(rule))
    assert imported.findings == []
    assert list(imported.clips["subset"]) == list(published.clips["subset"])
    assert list(imported.classes["role"]) == list(published.classes["role"])


def test_lists_in_an_archive(ucf, tmp_path):
    with zipfile.ZipFile(tmp_path / "lists.zip", "w") as archive:
        for file in (ucf.folder / "main_split").iterdir():
            archive.write(file, f"repo-1234/benchmarks/UCF/class-split/main_split/{file.name}")
            archive.writestr(f"repo-1234/benchmarks/Other/main_split/{file.name}", "filename,label\nx,y\n")
    split = build_split(ucf.clips, ucf.classes, config(tmp_path / "lists.zip", within="benchmarks/UCF/class-split"))
    assert split.counts()["test_unseen"] == 1267


def test_lists_by_url_are_fetched_once(ucf, tmp_path):
    (tmp_path / "web").mkdir()
    with zipfile.ZipFile(tmp_path / "web" / "lists.zip", "w") as archive:
        for file in (ucf.folder / "main_split").iterdir():
            archive.write(file, f"main_split/{file.name}")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lists = {"url": f"http://127.0.0.1:{server.server_port}/lists.zip"}
        split = SplitConfig.model_validate({"flavour": "imported", "lists": lists})
        first = build_split(ucf.clips, ucf.classes, split, tmp_path / "cache")
        server.shutdown()
    again = build_split(ucf.clips, ucf.classes, split, tmp_path / "cache")
    assert first.clips.equals(again.clips)
    assert first.counts()["train"] == 3174
    with pytest.raises(AvzslError, match="downloads are off here"):
        build_split(ucf.clips, ucf.classes, split)


def test_every_difference_is_listed(ucf, tmp_path):
    folder = tmp_path / "main_split"
    shutil.copytree(ucf.folder / "main_split", folder)
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    with (folder / "stage_2_test_seen.csv").open("a") as stream:
        stream.write("v_Nobody_g01_c01,Archery,2\n")  # not in the catalogue
        stream.write("v_Archery_g01_c01,Archery,2\n")  # in train as well
    text = (folder / "stage_1_train.csv").read_text().replace("v_Archery_g01_c03,Archery", "v_Archery_g01_c03,Bowling")
    (folder / "stage_1_train.csv").write_text(text)
    names = (folder / "stage_2_test_unseen.txt").read_text().replace("Typing\n", "")
    (folder / "stage_2_test_unseen.txt").write_text(names)
    split = build_split(ucf.clips, ucf.classes, config(tmp_path))
    assert split.findings == [
        "class Typing: has clips in the list of test_unseen, but no line in its .txt",
        "v_Archery_g01_c01: in the lists of train and test_seen",
        "v_Archery_g01_c03: listed as Bowling, Archery in the catalogue",
        "v_Nobody_g01_c01: listed as Archery, not in the catalogue",
    ]
    audit = audit_split(split, ucf.clips, ucf.classes, config(tmp_path))
    assert audit["lists"].count == 4
    typing = split.clips[split.clips["class_name"] == "Typing"]
    assert set(typing["subset"]) == {"excluded"}


def test_lists_of_another_data_set_and_broken_ones(ucf, activitynet, tmp_path):
    with pytest.raises(AvzslError, match=r"none of its .* clips is in the catalogue"):
        build_split(ucf.clips, ucf.classes, config(activitynet.folder))
    with pytest.raises(DataError, match=r"holds no main_split/stage_1_train\.csv"):
        build_split(ucf.clips, ucf.classes, config(tmp_path))
    folder = tmp_path / "main_split"
    folder.mkdir()
    (folder / "stage_1_train.csv").write_text("filename,label,label_code\na,b,1\na,b,1\n")
    with pytest.raises(DataError, match=r"stage_1_train.csv, line 3: a is listed twice"):
        build_split(ucf.clips, ucf.classes, config(tmp_path))


def test_cjme_lists(shared, tmp_path):
    """The sample holds four classes; a segments file made of it is the catalogue."""
    folder = shared / "data/published_splits/audiosetzsl_sample"
    rows = []
    for list_ in sorted(folder.glob("*/*.txt")):
        for line in list_.read_text().splitlines():
            _, video, start, end, *labels = line.split(", ")
            rows.append((video, f'{video}, {start}, {end}, "{",".join(labels)}"'))
    (tmp_path / "unbalanced_train_segments.csv").write_text("\n".join(["# made", *(r for _, r in sorted(rows))]) + "\n")
    names = {"camera": "/m/0dv5r", "cashbox": "/m/024dl", "hammer": "/m/03l9g", "panther": "/m/0cdnk"}
    keys = {"module": "audioset", "metadata": str(tmp_path), "subsets": ["unbalanced_train"], "classes": names}
    dataset = DatasetConfig.model_validate({"catalog": keys, "embeddings": {"table": "demo"}})
    catalog = build_catalog("audioset-zsl", dataset, tmp_path)
    split = build_split(catalog.clips, catalog.classes, config(folder, layout="cjme"))
    per_class = split.clips.groupby(["class_name", "subset"]).size().to_dict()
    assert per_class["camera", "train"] == 204
    assert (per_class["camera", "val_seen"], per_class["camera", "test_seen"]) == (68, 68)
    assert (per_class["panther", "val_unseen"], per_class["panther", "test_unseen"]) == (126, 126)
    assert per_class["panther", "excluded"] == 379
    # 29 further classes are in the class lists of the benchmark, not in this catalogue; nothing else differs.
    assert len(split.findings) == 29
    assert all(finding.startswith("class ") for finding in split.findings)
    audit = audit_split(split, catalog.clips, catalog.classes, config(folder, layout="cjme"))
    assert (audit["val_unseen_is_test_unseen"].count, audit["class_disjointness"].count) == (1, 1)


def test_the_variant_drops_the_classes_and_their_clips(ucf):
    split = build_split(ucf.clips, ucf.classes, config(ucf.folder).model_copy(update={"variant": "cls"}))
    dropped = split.clips[split.clips["class_name"].isin(["BandMarching", "BrushingTeeth", "Typing"])]
    assert set(dropped["subset"]) == {"excluded"}
    assert split.counts()["test_seen"] == 555
    rule = SplitConfig.model_validate({"flavour": "published", "classes": "ucf", "variant": "cls"})
    published = build_split(ucf.clips, ucf.classes, rule)
    assert list(published.clips["subset"]) == list(split.clips["subset"])


def test_lists_are_written_in_the_released_layout(ucf, tmp_path):
    rule = SplitConfig.model_validate({"flavour": "published", "classes": "ucf"})
    published = build_split(ucf.clips, ucf.classes, rule)
    write_lists(published, tmp_path)
    for stage, names in ucf.lists.items():
        with (tmp_path / "main_split" / f"{stage}.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert {row["filename"] for row in rows} == names
    assert {"filename": "v_Archery_g01_c01", "label": "Archery", "label_code": "2"} in rows
    again = build_split(ucf.clips, ucf.classes, config(tmp_path))
    assert again.findings == []
    assert again.clips["subset"].equals(published.clips["subset"])
