"""The README's and the recipes' commands, pasted into a shell one after the other, in a small world."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avzsl.config.demo import WorldConfig
from avzsl.demo import render_world
from avzsl.pretrained.wheels import missing
from tests.commands import ROOT, commands
from tests.starters.released_world import members, zipped
from tests.workflow.checkout import checkout_environment, copy_checkout
from tests.workflow.conftest import write_tiny_demo
from tests.workflow.test_released_features import shorten

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(3000)]

# What would install, fetch or take hours: only as far as it can go here. The options of all are checked by tests/test_commands.py.
INSTEAD = {
    r"make (setup|test|docs).*": r"make -n \1",
    r"make demo": "make --old-file=.venv/.installed demo",
    r"(source|conda|pip|python3 -m venv) .*": "true",
    r"(snakemake .*(benchmarks=(?:ucf|vggsound)|dataset: ucf|papers\.yaml).*)": r"\1 -n",
    # Without the data set's servers, and yt-dlp perhaps, it says so.
    r"(avzsl doctor ucf)": r"\1 || [ $? = 1 ]",
}
NAMES = {
    "/path/to/videos": "videos",
    "/path/to/avgzsl_benchmark_datasets.zip": "UCF.zip",
    "--features FOLDER": "--features arrays",
    "PATH": "UCF.zip",
}


def shorten_own(copy: Path) -> None:
    path = copy / "config/datasets/mine.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "    epochs: 2\n", encoding="utf-8")


def shorten_released(copy: Path) -> None:
    (copy / "config/config.yaml").rename(copy / "kept")
    (copy / "config/ucf-released.yaml").rename(copy / "config/config.yaml")
    shorten(copy / "config")
    (copy / "config/config.yaml").rename(copy / "config/ucf-released.yaml")
    (copy / "kept").rename(copy / "config/config.yaml")


AFTERWARDS: dict[str, Callable[[Path], object]] = {
    "avzsl new mine /path/to/videos": shorten_own,
    "avzsl new ucf --released /path/to/avgzsl_benchmark_datasets.zip": shorten_released,
    "avzsl bundle results --out mine.zip": lambda copy: shutil.copy(copy / "mine.zip", copy / "yours.zip"),
}


def paste(copy: Path, page: str) -> list[str]:
    """Run the commands of a page's blocks in its order; return the lines that were run."""
    done = []
    for command in commands(ROOT / page):
        if not command.whole:
            continue
        line = command.line
        for pattern, instead in INSTEAD.items():
            if re.fullmatch(pattern, line):
                line = re.sub(f"^{pattern}$", instead, line)
                break
        for name, own in NAMES.items():
            line = re.sub(rf"{name}$", own, line)
        ran = subprocess.run(
            ["bash", "-c", line], cwd=copy, env=checkout_environment(copy), capture_output=True, text=True, check=False, timeout=500
        )  # fmt: skip
        said = ran.stdout[-3000:] + ran.stderr[-5000:]
        assert ran.returncode == 0 and "Traceback" not in said, f"{page}: {command.line}\n{said}"
        AFTERWARDS.get(command.line, lambda copy: None)(copy)
        done.append(line)
    return done


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout whose demo is small, with videos, an archive of released features and arrays beside it."""
    if missing():
        pytest.skip(f"the extra [pretrained] is not installed: {missing()}")
    copy = copy_checkout(tmp_path_factory.mktemp("readme") / "avzsl")
    write_tiny_demo(copy)
    render_world(copy / "videos", WorldConfig(pictures=4, sounds=2, clips=3, max_seconds=1.2))
    shutil.copy(min((copy / "videos").glob("*/*.mp4")), copy / "CLIP.mp4")
    zipped(copy / "UCF.zip", members(cls=False))
    rng, rows = np.random.default_rng(0), ["clip_id,class_name"]
    for name in (
        "bouncing ball bell",
        "sliding ladder rain",
        "growing star siren",
        "sliding star clock",
        "growing ball engine",
    ):
        for number in range(6):
            rows.append(f"{name}/{number},{name}")
            for modality in ("audio", "visual"):
                path = copy / "arrays" / modality / name / f"{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, rng.standard_normal(8).astype(np.float32))
    (copy / "arrays/clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return copy


def test_the_readme(copy: Path) -> None:
    done = paste(copy, "README.md")
    assert sum("-n" not in line and line != "true" for line in done) > 15
    assert (copy / "results/report/index.html").is_file() and (copy / "leaderboard/leaderboard.html").is_file()


def test_the_recipes(copy: Path) -> None:
    for made in [
        *copy.glob("config/*/mine.yaml"),
        *copy.glob("config/*/ucf-released*"),
        copy / "config/ucf-released.yaml",
        copy / "mine.zip",
    ]:
        made.unlink(missing_ok=True)
    ucf = copy / "config/datasets/ucf.yaml"
    ucf.write_text(
        ucf.read_text(encoding="utf-8") + "  mine: {flavour: source_disjoint, force: {Archery: test_unseen}}\n",
        encoding="utf-8",
    )
    paste(copy, "docs/recipes.md")
