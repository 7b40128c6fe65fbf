"""A decoded frame -> 112 x 112 RGB, normalised as the networks expect it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

SIZE = 112
MEAN, DEVIATION = np.float32(0.45), np.float32(0.225)  # the same for the three channels


def normalise(frames: np.ndarray) -> np.ndarray:
    """Return uint8 values as float32 in [-2, 2.4444]; three steps in the order of the released code, for equal bits."""
    values = frames.astype(np.float32)
    values /= np.float32(255)
    values -= MEAN
    values /= DEVIATION
    return values


def short_side_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width after the short side has become 112 (long side rounded down)."""
    if height <= width:
        return SIZE, math.floor(float(width) / height * SIZE)
    return math.floor(float(height) / width * SIZE), SIZE


@lru_cache(maxsize=64)
def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Source rows and float32 weights of the central 112 rows when `source` rows become `target`.

    Bilinear with pixel centres aligned (torch's align_corners=False), no antialias. The scale is rounded to float32, the
    place computed in float64 and rounded: so did the torch of the released code, and equal bits need it.
    """
    scale = np.float32(source) / np.float32(target)
    offset = math.ceil((target - SIZE) / 2)
    place = (np.float64(scale) * (np.arange(offset, offset + SIZE) + 0.5) - 0.5).astype(np.float32)
    place = np.maximum(place, np.float32(0))
    first = place.astype(np.int64)
    second = np.minimum(first + 1, source - 1)
    weight = place - first.astype(np.float32)
    return first, second, np.float32(1) - weight, weight


def taps(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all of an RGB frame that `resize_and_crop` looks at, and what it does with it.

    uint8 (H, W, 3) -> uint8 (224, 224, 3): the upper 112 rows of the pairs and then the lower ones, the left 112 columns and
    then the right ones; float32 (4, 112): the weights of upper and lower rows, of left and right columns.
    """
    height, width = frame.shape[:2]
    target_height, target_width = short_side_size(height, width)
    top, bottom, top_weight, bottom_weight = _taps(height, target_height)
    left, right, left_weight, right_weight = _taps(width, target_width)
    pixels = frame.take(np.concatenate([top, bottom]), 0).take(np.concatenate([left, right]), 1)
    return pixels, np.stack([top_weight, bottom_weight, left_weight, right_weight])


def resize_and_crop(frame: np.ndarray, *, released: bool = False) -> np.ndarray:
    """Return the normalised central 112 x 112 of an RGB frame: uint8 (H, W, 3) -> float32 (112, 112, 3).

    Short side to 112 by bilinear interpolation without antialias, after normalising, then the centre crop, computed only
    for the pixels that the crop keeps. The sum of four weighted neighbours is taken across and then down, as torch 1.3
    does; `released` takes it as four products in one chain of fused multiply-adds, as the torch that runs the released
    code on frames in memory order height, width, channel does. They differ in the last bit.
    """
    height, width = frame.shape[:2]
    if min(height, width) == SIZE:  # the released code does not resize such frames at all
        top, left = math.ceil((height - SIZE) / 2), math.ceil((width - SIZE) / 2)
        return normalise(frame[top : top + SIZE, left : left + SIZE])
    whole, weights = taps(frame)
    # Rows of numbers, three to a pixel: NumPy is slow where the innermost axis has three.
    pixels = normalise(whole).reshape(2 * SIZE, 2, SIZE * 3)
    upper, lower = weights[0, :, None], weights[1, :, None]
    near, far = weights[2].repeat(3), weights[3].repeat(3)
    if not released:
        across = near * pixels[:, 0]
        across += far * pixels[:, 1]
        total = upper * across[:SIZE]
        total += lower * across[SIZE:]
        return total.reshape(SIZE, SIZE, 3)
    total = (upper * far) * pixels[:SIZE, 1]
    for weight, part in (
        (upper * near, pixels[:SIZE, 0]),
        (lower * near, pixels[SIZE:, 0]),
        (lower * far, pixels[SIZE:, 1]),
    ):
        # A float64 holds the product of two float32 exactly, so this rounds once, like the processor's instruction.
        total = (weight.astype(np.float64) * part + total).astype(np.float32)
    return total.reshape(SIZE, SIZE, 3)
