"""The demo world: how many classes and clips are rendered, and how large (`avzsl.demo`)."""

from __future__ import annotations

from pydantic import Field, field_validator

from avzsl.config.base import Section


class WorldConfig(Section):
    """Sizes of the demo world; the same values give the same clips on the same machine."""

    pictures: int = Field(6, ge=4, le=12, description="pairs of motion and object; even")
    sounds: int = Field(6, ge=2, le=6, description="sounds; even. Classes: pictures x sounds")
    ordered: int = Field(
        0,
        ge=0,
        le=3,
        description="pairs of classes that differ only in which of two sounds comes first; four seconds each",
    )
    clips: int = Field(8, gt=0, le=1000, description="clips a class")
    min_seconds: float = Field(1.1, ge=0.1, le=60, description="shortest clip")
    max_seconds: float = Field(1.3, ge=0.1, le=60, description="longest clip")
    fps: int = Field(30, ge=5, le=60)
    width: int = Field(128, ge=32, le=1920, multiple_of=2)
    height: int = Field(112, ge=32, le=1080, multiple_of=2)
    sample_rate: int = Field(44_100, ge=8_000, le=48_000)
    seed: int = Field(0, ge=0)

    @field_validator("pictures", "sounds")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even: half of them meet in each block of the split")
        return value
