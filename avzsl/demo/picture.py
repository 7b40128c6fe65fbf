"""Frames of a demo clip: a motion and an object, drawn large, over a varied background.

Colours, size, place, speed, phase and background vary from clip to clip and carry no information.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import numpy as np

Plane = np.ndarray  # (height, width) float32 or bool
Pose = tuple[float, float, float, float]  # offset x, offset y (object radii), angle, scale; scale 0: hidden


def _ball(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    return u * u + v * v < 1, np.abs(v - 0.15) < 0.3


def _ladder(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    rails = np.abs(np.abs(u) - 0.55) < 0.12
    rungs = np.mod(v * 3, 1) < 0.45
    return (np.abs(u) < 0.67) & (np.abs(v) < 1.15) & (rails | rungs), rails


def _chessboard(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    inside = np.maximum(np.abs(u), np.abs(v)) < 0.95
    return inside, (np.floor(u / 0.317) + np.floor(v / 0.317)) % 2 == 0


def _star(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    tip = np.abs(np.mod(angle * 5 / (2 * np.pi), 1) - 0.5) * 2  # 1 at a tip, 0 between two
    return radius < 0.4 + 0.75 * tip * tip, radius < 0.25


def _flower(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    return radius < 0.7 + 0.4 * np.cos(7 * angle), radius < 0.35


def _wheel(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    rim = np.abs(radius - 0.92) < 0.12
    spokes = (np.mod(angle * 8 / (2 * np.pi), 1) < 0.35) & (radius < 0.92)
    return rim | spokes, rim


# Object -> where it is and where its second colour is, in coordinates of its own radius.
OBJECT_SHAPES: dict[str, Callable[[Plane, Plane], tuple[Plane, Plane]]] = {
    "ball": _ball, "ladder": _ladder, "chessboard": _chessboard, "star": _star, "flower": _flower, "wheel": _wheel,
}  # fmt: skip

# Radii from the middle beyond which no object has a pixel (a ladder's corner: 1.34).
REACH = 1.4


def _bouncing(t: float, speed: float) -> Pose:
    return 0.0, 0.75 - 1.5 * abs(float(np.sin(np.pi * 2.2 * speed * t))), 0.0, 1.0


def _spinning(t: float, speed: float) -> Pose:
    return 0.0, 0.0, 2 * np.pi * 1.4 * speed * t, 1.0


def _flashing(t: float, speed: float) -> Pose:
    return 0.0, 0.0, 0.0, float((t * 6.0 * speed) % 1 < 0.5)


def _sliding(t: float, speed: float) -> Pose:
    return 2.6 * (2 * ((t * 0.9 * speed) % 1) - 1), 0.0, 0.0, 1.0


def _shaking(t: float, speed: float) -> Pose:
    return 0.3 * float(np.sign(np.sin(2 * np.pi * 7 * speed * t))), 0.0, 0.0, 1.0


def _growing(t: float, speed: float) -> Pose:
    return 0.0, 0.0, 0.0, 0.25 + 1.25 * ((t * 1.1 * speed) % 1)


MOTION_POSES: dict[str, Callable[[float, float], Pose]] = {
    "bouncing": _bouncing, "spinning": _spinning, "flashing": _flashing,
    "sliding": _sliding, "shaking": _shaking, "growing": _growing,
}  # fmt: skip


def draw_frames(
    motion: str, thing: str, frames: int, fps: float, width: int, height: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the frames of one clip, (frames, height, width, 3) uint8 RGB."""
    radius = height * rng.uniform(0.27, 0.33)
    cx, cy = width / 2 + width * rng.uniform(-0.08, 0.08), height / 2 + height * rng.uniform(-0.05, 0.05)
    tilt, phase, speed = rng.uniform(-0.25, 0.25), rng.uniform(0, 1), rng.uniform(0.9, 1.1)
    first, second = _colours(rng)
    background = _background(width, height, rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shape, pose = OBJECT_SHAPES[thing], MOTION_POSES[motion]
    clip = np.empty((frames, height, width, 3), np.uint8)
    for i in range(frames):
        dx, dy, angle, scale = pose(i / fps + phase, speed)
        clip[i] = background
        if scale <= 0:
            continue
        rows, columns = (
            slice(max(0, math.floor(at - REACH * radius * scale)), max(0, math.ceil(at + REACH * radius * scale)) + 1)
            for at in (cy + dy * radius, cx + dx * radius)
        )
        part = clip[i, rows, columns]
        u = (x[rows, columns] - cx - dx * radius) / (radius * scale)
        v = (y[rows, columns] - cy - dy * radius) / (radius * scale)
        c, s = np.float32(np.cos(angle + tilt)), np.float32(np.sin(angle + tilt))
        inside, marked = shape(c * u + s * v, c * v - s * u)
        part[inside] = first
        part[inside & marked] = second
    return clip


def _colours(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright colour and a dark one of unrelated hues: every texture keeps its contrast."""
    bright = colorsys.hls_to_rgb(rng.uniform(), rng.uniform(0.78, 0.86), rng.uniform(0.3, 0.9))
    dark = colorsys.hls_to_rgb(rng.uniform(), rng.uniform(0.12, 0.2), rng.uniform(0.3, 0.9))
    return np.array(bright) * 255, np.array(dark) * 255


def _background(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A mid-grey gradient with a hue, a direction and fine grain, (height, width, 3) uint8."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    colour = np.array(colorsys.hls_to_rgb(rng.uniform(), rng.uniform(0.42, 0.5), rng.uniform(0.05, 0.3)))
    grain = rng.normal(0, 0.01, (height, width, 1))
    picture = colour + rng.uniform(0.05, 0.2) * ramp[..., None] + grain
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)
