"""What was odd about a file that was read all the same: numbers, and sentences for people."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from avzsl.contracts.notes import SILENT, STILL

# No new picture for this long, or no sound for this long, is worth a word.
_NOTED_S = 1.0
# Two channels of which their mean keeps less than this share of the energy cancel out.
_ANTIPHASE = 1e-3


@dataclass
class Findings:
    """Counted while a file is decoded."""

    frames: int = 0  # pictures decoded, or left out on purpose
    lost_frames: int = 0  # pictures that could not be decoded, or only with parts made up
    sound_s: float = 0.0  # seconds of sound decoded
    lost_sound_s: float = 0.0  # seconds of sound that could not be decoded
    silence_s: float = 0.0  # seconds for which the file holds no sound between its first and its last
    frozen_s: float = 0.0  # seconds for which the file holds no new picture, in stretches of more than a second
    heard: bool = False  # a sample is not zero
    moved: bool = False  # a picture differs from the first
    mean_energy: float = 0.0  # of the mean of two channels
    difference_energy: float = 0.0  # of half of their difference

    @property
    def lost_share(self) -> float:
        """The larger of the shares of pictures and of sound that were lost; a stream of which nothing came counts as absent."""
        frames, sound = self.frames + self.lost_frames, self.sound_s + self.lost_sound_s
        return max(
            self.lost_frames / frames if self.frames else 0.0, self.lost_sound_s / sound if self.sound_s else 0.0
        )

    def damage(self) -> str | None:
        """Say what was lost, or None."""
        if not self.lost_frames and not self.lost_sound_s:
            return None
        return (
            f"damaged: {self.lost_frames} of {self.frames + self.lost_frames} frames and {self.lost_sound_s:.2f} s of "
            f"{self.sound_s + self.lost_sound_s:.2f} s of sound are lost ({100 * self.lost_share:.0f} %)"
        )

    def notes(self) -> list[str]:
        """Return a sentence for everything odd."""
        return [
            *(filter(None, [self.damage()])),
            *missing(self.silence_s, self.frozen_s),
            *self._quiet(),
            *([f"{STILL}: the picture never changes"] if self.frames and not self.moved else []),
        ]

    def _quiet(self) -> list[str]:
        if self.mean_energy < _ANTIPHASE * self.difference_energy:
            return [
                "antiphase: left and right cancel out, so that networks, which get their mean, hear next to nothing"
            ]
        return [f"{SILENT}: every sample of the sound is zero"] if self.sound_s and not self.heard else []


def missing(silence_s: float, frozen_s: float) -> list[str]:
    """Name the seconds for which a file holds no sound, and no new picture."""
    found = []
    if silence_s > _NOTED_S:
        found.append(f"sound is missing for {silence_s:.1f} s, which are silent")
    if frozen_s > _NOTED_S:
        found.append(f"there is no new picture for {frozen_s:.1f} s, where it stands still")
    return found


def shape(aspect: Fraction | None) -> list[str]:
    """Name pixels that are not square: the stored picture, which networks see, is narrower or wider than what is shown."""
    if not aspect or aspect == 1:
        return []
    return [f"anamorphic: its pixels are {aspect.numerator}:{aspect.denominator}, and are read as if they were square"]


def joined(notes: list[str]) -> str | None:
    """Return notes as one text, or None."""
    return "; ".join(notes) or None
