"""A folder of broken and oddly named clips: what users' folders hold and every stage must survive."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avzsl.config.demo import WorldConfig
from avzsl.contracts.atomic import write_text
from avzsl.demo.classes import demo_classes
from avzsl.demo.mp4 import write_mp4
from avzsl.demo.world import render_clip

# Names that break careless quoting, argument parsing and path handling. None is broken itself.
ODD_NAMES = (
    "two words.mp4", "it's \"quoted\".mp4", "-i.mp4", "--help", "Überfall 狗吠 🐕.mp4", "semi;colon $HOME `id` & co.mp4",
    "100%d.mp4", "{wildcard}.mp4", "new\nline.mp4", "no extension",
)  # fmt: skip


def render_hostile(folder: Path, world: WorldConfig | None = None) -> dict[str, str]:
    """Write a small folder data set of whole and broken clips below `folder`.

    Returns what each file is, by path relative to `folder`: `whole` or what is wrong with it. Among the classes is an
    empty one (`empty class`), one of broken clips alone (`only broken`), and two that hold clips of the same name.
    """
    world = world or WorldConfig(pictures=4, sounds=2, clips=1, width=64, height=64)
    kinds = demo_classes(world)
    held: dict[str, str] = {}

    def whole(relative: str, number: int) -> Path:
        path = folder / relative
        render_clip(path, kinds[number % len(kinds)], number, world)
        held[relative] = "whole"
        return path

    for number, name in enumerate(ODD_NAMES):
        whole(f"odd names/{name}", number)
    for number, class_name in enumerate(("first class", "-second 'class'")):
        whole(f"{class_name}/same name.mp4", number)
        whole(f"{class_name}/deeper/same name.mp4", number + 2)
    (folder / "empty class").mkdir(parents=True, exist_ok=True)

    cut = whole("only broken/truncated.mp4", 0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    held["only broken/truncated.mp4"] = "truncated"
    write_text(folder / "only broken/text.mp4", "This is no video.\n")
    held["only broken/text.mp4"] = "text"
    (folder / "only broken/nothing.mp4").write_bytes(b"")
    held["only broken/nothing.mp4"] = "empty"

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (36, world.height, world.width, 3), dtype=np.uint8)
    wave = (0.1 * rng.standard_normal(round(1.2 * world.sample_rate))).clip(-1, 1).astype(np.float32)
    short = world.sample_rate // 5
    for name, pictures, sound in (
        ("no audio", frames, None),
        ("no video", None, wave),
        ("too short", frames[:6], wave[:short]),
    ):
        relative = f"only broken/{name}.mp4"
        write_mp4(folder / relative, pictures, world.fps, sound, world.sample_rate)
        held[relative] = name
    return held
