"""Words without a vector are found before media are fetched, all of them at once."""

from __future__ import annotations

from pathlib import Path

from tests.workflow.conftest import Run, write_config


def test_words_without_a_vector_stop_a_run_before_media(tmp_path: Path, run: Run) -> None:
    for name in ("bouncing ball bell", "xylophone concert", "zebra"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for clip in "abcd":  # as many as a split needs: only clips that one uses are fetched
            (tmp_path / "videos" / name / f"{clip}.mp4").write_bytes(b"no video")
    write_config(tmp_path, "config.yaml", {"benchmarks": "mine"})
    write_config(
        tmp_path,
        "datasets/mine.yaml",
        {
            "catalog": {"module": "folder", "root": "videos"},
            "embeddings": {"table": "demo"},
            "features": "selavi-random",
        },
    )
    # Also where other jobs may go on after a failure.
    result = run("all_media", "--keep-going", check=False)
    assert result.returncode != 0
    [line] = [line for line in (result.stdout + result.stderr).splitlines() if "has no vector for the words" in line][
        :1
    ]
    assert "2 of 3 classes" in line and "'xylophone', 'concert'" in line and "'zebra'" in line
    assert (tmp_path / "results/mine/catalog/clips.parquet").is_file()
    assert not (tmp_path / "results/mine/media").exists()
    # Other words, and the run goes on from there.
    dataset = {
        "catalog": {"module": "folder", "root": "videos"},
        "embeddings": {"table": "demo"},
        "features": "selavi-random",
        "phrases": {"xylophone concert": "growing star", "zebra": "sliding ladder"},
    }
    write_config(tmp_path, "datasets/mine.yaml", dataset)
    run("all_media")
    assert (tmp_path / "results/mine/media/0000.parquet").is_file()
