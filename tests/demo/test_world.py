import hashlib
import json
from pathlib import Path

import av
import numpy as np
import pytest

from avzsl.config.demo import WorldConfig
from avzsl.demo import INDEX, demo_classes, render_world
from avzsl.demo.classes import MOTIONS, OBJECTS, SOUNDS
from avzsl.demo.hostile import render_hostile
from avzsl.demo.picture import MOTION_POSES, OBJECT_SHAPES, REACH, draw_frames
from avzsl.demo.sound import SOUND_SOURCES, play

TINY = WorldConfig(pictures=4, sounds=2, clips=1, width=64, height=48)


def hashes(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.mp4")}


@pytest.mark.parametrize("pictures,sounds", [(4, 2), (6, 6), (12, 4)])
def test_every_word_of_an_unseen_class_is_trained_and_no_modality_tells_the_class(pictures: int, sounds: int) -> None:
    classes = demo_classes(WorldConfig(pictures=pictures, sounds=sounds))
    assert len({c.name for c in classes}) == len(classes) == pictures * sounds
    trained = {word for c in classes if c.role == "train" for word in c.name.split()}
    for role in ("val_unseen", "test_unseen"):
        unseen = [c for c in classes if c.role == role]
        assert len(unseen) == len(classes) / 4
        assert {word for c in unseen for word in c.name.split()} <= trained
        by_picture = {
            (c.motion, c.object): {d.sound for d in unseen if (d.motion, d.object) == (c.motion, c.object)}
            for c in unseen
        }
        assert all(len(heard) == sounds // 2 for heard in by_picture.values())
        assert len(by_picture) == pictures // 2


@pytest.mark.parametrize("thing", OBJECT_SHAPES)
def test_no_object_is_larger_than_what_is_drawn_of_it(thing: str) -> None:
    v, u = np.mgrid[-3:3:601j, -3:3:601j].astype(np.float32)
    inside, marked = OBJECT_SHAPES[thing](u, v)
    assert np.hypot(u, v)[inside].max() < REACH
    assert (inside & marked).any()


def test_every_word_is_drawn_or_played() -> None:
    assert set(MOTIONS) == set(MOTION_POSES)
    assert set(OBJECTS) == set(OBJECT_SHAPES)
    assert set(SOUNDS) == set(SOUND_SOURCES)


def test_the_world_is_real_files_and_the_same_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        render_world(tmp_path / name, TINY, threads=1 if name == "a" else 2)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert len(set(hashes(tmp_path / "a").values())) == 8
    render_world(tmp_path / "c", TINY.model_copy(update={"seed": 1}))
    assert not set(hashes(tmp_path / "a").values()) & set(hashes(tmp_path / "c").values())

    index = json.loads((tmp_path / "a" / INDEX).read_text())
    assert {c["path"] for c in index["clips"]} == set(hashes(tmp_path / "a"))
    with av.open(str(tmp_path / "a" / index["clips"][0]["path"])) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec.name, audio.codec.name) == ("h264", "aac")
        assert (video.width, video.height, float(video.average_rate), audio.rate) == (64, 48, 30, 44_100)
        assert 1.05 < float(video.duration * video.time_base) < 1.35
        assert abs(float(video.duration * video.time_base) - float(audio.duration * audio.time_base)) < 0.05


def test_a_larger_world_keeps_the_clips_of_a_smaller_one(tmp_path: Path) -> None:
    render_world(tmp_path / "a", TINY)
    render_world(tmp_path / "b", TINY.model_copy(update={"clips": 2}))
    assert hashes(tmp_path / "a").items() <= hashes(tmp_path / "b").items()


def test_a_world_that_was_interrupted_has_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render_world(tmp_path, TINY)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("avzsl.demo.world.render_clip", fail)
    with pytest.raises(OSError, match="disk full"):
        render_world(tmp_path, TINY)
    assert not (tmp_path / INDEX).exists()


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_move_and_objects_are_large(motion: str) -> None:
    frames = draw_frames(motion, "wheel", 30, 30, 64, 64, np.random.default_rng(0)).astype(int)
    moved = np.abs(np.diff(frames, axis=0)).max(axis=(1, 3)).mean()
    assert moved > 5
    assert np.ptp(frames, axis=0).max(axis=-1).mean() > 10


def test_sounds_differ_in_spectrum_or_envelope() -> None:
    rng = np.random.default_rng(0)
    waves = {s: play(s, 44_100, 44_100, rng) for s in SOUNDS}
    for wave in waves.values():
        assert wave.dtype == np.float32 and np.abs(wave).max() <= 1 and np.sqrt(np.mean(wave**2)) > 0.05
    spectra = {s: np.abs(np.fft.rfft(w)).reshape(-1)[:22_000].reshape(55, -1).mean(1) for s, w in waves.items()}
    unit = np.stack([v / np.linalg.norm(v) for v in spectra.values()])
    alike = unit @ unit.T - np.eye(len(unit))
    assert alike.max() < 0.9


def test_the_hostile_folder_holds_what_it_says(tmp_path: Path) -> None:
    held = render_hostile(tmp_path)
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == set(held)
    assert not any((tmp_path / "empty class").iterdir())
    streams = {}
    for relative, what in held.items():
        try:
            with av.open(str(tmp_path / relative)) as container:
                streams[relative] = sorted(s.type for s in container.streams)
                if what == "whole":
                    assert sum(1 for _ in container.decode(video=0)) > 30
        except av.FFmpegError:
            streams[relative] = []
        assert (streams[relative] == ["audio", "video"]) == (what in {"whole", "too short"})
    assert streams["only broken/no audio.mp4"] == ["video"] and streams["only broken/no video.mp4"] == ["audio"]
