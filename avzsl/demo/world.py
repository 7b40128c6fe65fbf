"""Render the demo world: a small procedural data set of real files."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from avzsl.config.demo import WorldConfig
from avzsl.contracts.hashing import sha256_text
from avzsl.contracts.records import write_record
from avzsl.demo.classes import THEN, DemoClass, demo_classes
from avzsl.demo.mp4 import write_mp4
from avzsl.demo.picture import draw_frames
from avzsl.demo.sound import play
from avzsl.runtime.progress import progress

logger = logging.getLogger(__name__)

# The list of what was rendered, written last: where it is, the world is whole.
INDEX = "index.json"
# Clips of two sounds one after the other.
ORDERED_SECONDS = 4.0


def render_world(folder: Path, world: WorldConfig, threads: int | None = None) -> None:
    """Render every clip of the world to `folder/CLASS/clip-NNN.mp4` and list them in `folder/index.json`.

    The index holds `classes` (class_name, motion, object, sound, role) and `clips` (class_name, path relative to
    `folder`). A clip depends on its class, its number and the world's seed alone, so that a larger world keeps the
    clips of a smaller one.
    """
    folder = Path(folder)
    classes = demo_classes(world)
    (folder / INDEX).unlink(missing_ok=True)
    jobs = [(c, number, f"{c.name}/clip-{number:03d}.mp4") for c in classes for number in range(world.clips)]
    with (
        progress("demo world", len(jobs)) as ticker,
        ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool,
    ):
        for _ in pool.map(lambda job: render_clip(folder / job[2], job[0], job[1], world), jobs):
            ticker.advance()
    write_record(
        folder / INDEX,
        {
            "world": world.model_dump(),
            "classes": [
                {"class_name": c.name, "motion": c.motion, "object": c.object, "sound": c.sound, "role": c.role}
                for c in classes
            ],
            "clips": [{"class_name": c.name, "path": path} for c, _, path in jobs],
        },
    )


def render_clip(path: Path, cls: DemoClass, number: int, world: WorldConfig) -> None:
    """Render clip `number` of a class to an mp4 file at `path`.

    Clips of one number in the two classes of an order are twins: picture and both sounds are the same, so that nothing
    but the order tells them apart; their sound is lossless, for AAC hears what came before.
    """
    sounds = cls.sound.split(THEN)
    name = cls.name if len(sounds) == 1 else THEN.join(sorted(sounds))
    rng = np.random.default_rng(int(sha256_text(f"{world.seed}/{name}/{number}")[:16], 16))
    seconds = rng.uniform(world.min_seconds, max(world.min_seconds, world.max_seconds))
    if len(sounds) > 1:
        seconds = ORDERED_SECONDS
    frames = max(1, round(seconds * world.fps))
    samples = round(frames / world.fps * world.sample_rate)
    picture = draw_frames(cls.motion, cls.object, frames, world.fps, world.width, world.height, rng)
    # The switch is where one second ends and the next begins: no window hears both sounds.
    played = {sound: play(sound, samples // len(sounds), world.sample_rate, rng) for sound in sorted(sounds)}
    wave = np.resize(np.concatenate([played[sound] for sound in sounds]), samples)
    write_mp4(path, picture, world.fps, wave, world.sample_rate, lossless=len(sounds) > 1)
