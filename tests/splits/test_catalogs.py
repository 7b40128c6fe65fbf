"""The four catalogues from small files of the real formats, and what they say to broken ones."""

from __future__ import annotations

import json
import zipfile

import pytest

from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from splits.catalogs import Catalog, build_catalog

UCF = {
    "classInd.txt": "1 Archery\n2 HandstandPushups\n3 YoYo\n",
    "trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\r\nHandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n",
    "testlist01.txt": "Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g01_c02.avi\n",
}
VGG = '---g-f_I2yQ,1,people marching,test\n--0PQM4-hqg,30,waterfall burbling,train\n--9O4XZOge4,30,"female speech, woman speaking",train\n'
STAT = 'people marching,1,people\nwaterfall burbling,1,nature\n"female speech, woman speaking",1,people\n'
AUDIOSET = (
    "# Segments csv created Sun Mar  5 10:54:25 2017\n"
    "# num_ytids=4, num_segs=4, num_unique_labels=4, num_positive_labels=6\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
    '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_,/m/0bt9lr,/m/0jbk"\n'
    '--BfvyPmVMo, 20.000, 30.000, "/m/03l9g"\n'
    '--U7joUcTCo, 0.000, 10.000, "/m/01b_21"\n'
    '-0aaaaaaaaa, 0.000, 10.000, "/m/0bt9lr,/m/03l9g"\n'
)


def build(module: str, tmp_path, **options: object) -> Catalog:
    keys = {"catalog": {"module": module, **options}, "embeddings": {"table": "demo"}}
    return build_catalog("mine", DatasetConfig.model_validate(keys), tmp_path / "cache")


def rows(catalog: Catalog, *columns: str) -> list[list[object]]:
    return catalog.clips[list(columns)].to_numpy().tolist()


def test_ucf_from_the_official_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "lists.zip", "w") as archive:
        for name, text in UCF.items():
            archive.writestr(f"ucfTrainTestlist/{name}", text)
    catalog = build("ucf101", tmp_path, lists=str(tmp_path / "lists.zip"))
    assert rows(catalog, "clip_id", "class_name", "source_id", "official_subset") == [
        ["v_Archery_g01_c01", "Archery", "Archery g01", "test"],
        ["v_Archery_g01_c02", "Archery", "Archery g01", "test"],
        ["v_Archery_g08_c01", "Archery", "Archery g08", "train"],
        ["v_HandStandPushups_g08_c01", "HandstandPushups", "HandstandPushups g08", "train"],
    ]
    assert list(catalog.clips["path"])[-1] == "HandstandPushups/v_HandStandPushups_g08_c01.avi"
    assert list(catalog.classes["clips"]) == [3, 1, 0]
    assert catalog.notes == ["4 clips instead of the 13320 of UCF101", "3 classes instead of the 101 of UCF101"]


def test_ucf_from_the_videos_and_from_their_names(tmp_path):
    (tmp_path / "UCF-101" / "Archery").mkdir(parents=True)
    (tmp_path / "UCF-101" / "Archery" / "v_Archery_g01_c01.avi").touch()
    (tmp_path / "names.txt").write_text("UCF-101\\Archery\\v_Archery_g01_c01.avi\nUCF-101\\Archery\nUCF-101\n")
    for path in ("UCF-101", "names.txt"):
        assert rows(build("ucf101", tmp_path, lists=str(tmp_path / path)), "clip_id") == [["v_Archery_g01_c01"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Archery/video.avi\n", r"names.txt, line 1: expected a name like"),
        ("v_Archery_g01_c01.avi\nv_Archery_g01_c01.avi\n", "line 2: v_Archery_g01_c01 is listed twice"),
        ("Bowling/v_Archery_g01_c01.avi\n", "line 1: expected a file in the folder of its own class"),
        ("\n", "holds neither the official lists"),
    ],
)
def test_ucf_names_that_are_none(tmp_path, text, words):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        build("ucf101", tmp_path, lists=str(tmp_path / "names.txt"))


def test_activitynet(tmp_path):
    two = [{"segment": [6.19, 77.73], "label": "Ballet"}, {"segment": [80, 82.73], "label": "Applying sunscreen"}]
    database = {
        "-IkL9Kq9zfQ": {"subset": "training", "duration": 82.73, "annotations": two},
        "aaaaaaaaaaa": {"subset": "testing", "annotations": []},
    }
    (tmp_path / "a.json").write_text(json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database}))
    catalog = build("activitynet", tmp_path, annotations=str(tmp_path / "a.json"))
    assert rows(catalog, "clip_id", "class_name", "source_id", "start_s", "end_s", "official_subset") == [
        ["-IkL9Kq9zfQ_0", "Ballet", "-IkL9Kq9zfQ", 6.19, 77.73, "training"],
        ["-IkL9Kq9zfQ_1", "Applyingsunscreen", "-IkL9Kq9zfQ", 80.0, 82.73, "training"],
    ]
    assert dict(zip(catalog.classes["class_name"], catalog.classes["phrase"], strict=True)) == {
        "Applyingsunscreen": "Applying sunscreen", "Ballet": "Ballet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"version": "1.3", "database": {"a": {"annota', "is not whole JSON"),
        ('["a"]', "expected the ActivityNet JSON"),
        ('{"database": {}}', "holds no annotated segment"),
        ('{"database": {"v1": {"annotations": [{"label": "x"}]}}}', "video 'v1', annotation 0: expected a label and"),
        ('{"database": {"v1": {"annotations": [{"label": "x", "segment": [1, NaN]}]}}}', "annotation 0: expected"),
    ],
)
def test_activitynet_files_that_are_none(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=words):
        build("activitynet", tmp_path, annotations=str(tmp_path / "a.json"))


def test_vggsound(tmp_path):
    (tmp_path / "v.csv").write_text(VGG)
    (tmp_path / "s.csv").write_text(STAT)
    catalog = build("vggsound", tmp_path, clips=str(tmp_path / "v.csv"), categories=str(tmp_path / "s.csv"))
    assert rows(catalog, "clip_id", "class_name", "start_s", "end_s", "category", "official_subset") == [
        ["---g-f_I2yQ_000001", "people marching", 1.0, 11.0, "people", "test"],
        ["--0PQM4-hqg_000030", "waterfall burbling", 30.0, 40.0, "nature", "train"],
        ["--9O4XZOge4_000030", "female speech, woman speaking", 30.0, 40.0, "people", "train"],
    ]


@pytest.mark.parametrize(
    ("clips", "categories", "words"),
    [
        ("--0PQM4-hqg,30,waterfall burbling\n", STAT, r"v.csv, line 1: expected YouTube id,start"),
        (VGG + "--0PQM4-hqg,x,waterfall burbling,train\n", STAT, r"v.csv, line 4: expected YouTube id"),
        (VGG + "--0PQM4-hqg,30,waterfall burbling,test\n", STAT, "line 4: --0PQM4-hqg_000030 is listed twice"),
        (
            VGG + "--0PQM4-hqg,31,unheard of,train\n",
            STAT,
            "line 4: class 'unheard of' is not in the table of categories",
        ),
        (VGG + '--0PQM4-hqg,31,"unclosed\n', STAT, "is not csv|expected YouTube id"),
        (VGG, "people marching;1;people\n", r"s.csv, line 1: expected class,number of clips,category"),
        (VGG, STAT + "people marching,2,people\n", "line 4: class 'people marching' is listed twice"),
        (VGG, "", "holds no class"),
    ],
)
def test_vggsound_files_that_are_none(tmp_path, clips, categories, words):
    (tmp_path / "v.csv").write_text(clips)
    (tmp_path / "s.csv").write_text(categories)
    with pytest.raises(DataError, match=words):
        build("vggsound", tmp_path, clips=str(tmp_path / "v.csv"), categories=str(tmp_path / "s.csv"))


def audioset(tmp_path, text: str = AUDIOSET, **options: object) -> Catalog:
    (tmp_path / "eval_segments.csv").write_text(text)
    return build("audioset", tmp_path, metadata=str(tmp_path), subsets=["eval"], **options)


def test_audioset(tmp_path):
    catalog = audioset(tmp_path)
    assert rows(catalog, "clip_id", "class_name", "source_id", "end_s", "official_subset") == [
        ["--4gqARaEJE_0", "dog", "--4gqARaEJE", 10.0, "eval"],
        ["--BfvyPmVMo_20000", "hammer", "--BfvyPmVMo", 30.0, "eval"],
    ]
    assert len(catalog.classes) == 33
    assert catalog.notes == ["eval: 1 segments carry two or more of the classes and are left out"]


def test_audioset_ontology_and_quality(tmp_path):
    (tmp_path / "ontology.json").write_text(json.dumps([{"id": "/m/0bt9lr"}, {"id": "/m/03l9g"}]))
    classes = {"dog": "/m/0bt9lr", "hammer": "/m/03l9g"}
    (tmp_path / "qa.csv").write_text("label_id,num_rated,num_true\n/m/0bt9lr,10,9\n/m/03l9g,10,5\n")
    catalog = audioset(
        tmp_path, classes=classes, ontology=str(tmp_path / "ontology.json"), quality=str(tmp_path / "qa.csv")
    )
    assert list(catalog.classes["class_name"]) == ["dog"]
    assert catalog.notes[0] == "hammer is left out: 50% of its rated labels are correct"
    with pytest.raises(ConfigError, match=r"not in the ontology: cat \(/m/x\)"):
        audioset(tmp_path, classes={"cat": "/m/x"}, ontology=str(tmp_path / "ontology.json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (AUDIOSET.rsplit("\n", 2)[0] + "\n", "holds 3 of the 4 segments that its header promises"),
        (AUDIOSET + "-0aaaaaaaab, 0.000, 10.", r"eval_segments.csv, line 8: expected YouTube id"),
        (AUDIOSET.replace("num_segs=4", "num_segs=5") + '--4gqARaEJE, 5.000, 15.000, "/m/0bt9lr"\n', "listed twice"),
        ("# nothing\n", "holds no segment"),
    ],
)
def test_audioset_files_that_are_none(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        audioset(tmp_path, text)


@pytest.mark.parametrize(
    ("module", "key"),
    [("ucf101", "lists"), ("activitynet", "annotations"), ("vggsound", "clips"), ("audioset", "metadata")],
)
def test_without_a_network_the_error_says_what_to_do(tmp_path, module, key):
    dead = {"urls": ["http://127.0.0.1:9/file"]}
    with pytest.raises(
        AvzslError, match=rf"127.0.0.1:9/file: .*get it by hand and give `datasets/mine.yaml: catalog.{key}: PATH`"
    ):
        build(module, tmp_path, **{key: dead})
    with pytest.raises(ConfigError, match=rf"datasets/mine.yaml: catalog.{key}: .*nowhere does not exist"):
        build(module, tmp_path, **{key: str(tmp_path / "nowhere")})


def test_option_mistakes_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"datasets/mine.yaml: catalog.listz: unknown key; did you mean lists?"):
        build("ucf101", tmp_path, listz="x")
    with pytest.raises(ConfigError, match=r"datasets/mine.yaml: catalog.min_quality: must be at most 1, got 7"):
        build("audioset", tmp_path, min_quality=7)
    with pytest.raises(ConfigError, match=r"datasets/mine.yaml: catalog.lists.pfad: unknown key"):
        build("ucf101", tmp_path, lists={"pfad": "x"})
