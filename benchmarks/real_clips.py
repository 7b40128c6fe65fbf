"""A small folder of real clips, and what methods make of it: pictures and recordings of animals and instruments.

Debian's package gcompris-qt-data (GPL-3+ and freer) holds a picture and a recording each of farm animals and instruments. This
makes short clips of them: the picture moves under the camera, the recording starts somewhere, louder or softer.

    apt-get download gcompris-qt-data && dpkg -x gcompris-qt-data_*.deb unpacked
    pip install -e ".[pretrained]" resvg-py
    python benchmarks/real_clips.py unpacked FOLDER              # FOLDER/CLASS/CLIP.mp4
    avzsl new real FOLDER && snakemake --cores all --config benchmarks=real

One picture and one recording stand for a class, so clips of a class are near copies: what this measures is the transfer to
classes that were not trained on, never the accuracy on seen ones.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import zlib
from pathlib import Path

import av
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from avzsl.demo.mp4 import write_mp4  # noqa: E402

SIZE, FPS, RATE = 256, 12, 44100
FOLDERS = ("explore_farm_animals", "instruments")
# Names of files that are no names of things.
RENAMED = {"chickens": "chicken", "flute_traversiere": "flute", "horn": "french horn"}


def unpack(path: Path) -> dict[str, bytes]:
    """Return the files of a Qt resource archive by name (rcc's format: a tree, names and data, each a table)."""
    data = path.read_bytes()
    version, tree, blobs, names = struct.unpack_from(">4I", data, 4)
    width = 22 if version > 1 else 14
    files: dict[str, bytes] = {}

    def walk(number: int, folder: str) -> None:
        name_at, flags = struct.unpack_from(">IH", data, tree + number * width)
        length = struct.unpack_from(">H", data, names + name_at)[0]
        name = data[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16-be") if number else ""
        here = f"{folder}/{name}" if folder else name
        if flags & 2:
            count, first = struct.unpack_from(">II", data, tree + number * width + 6)
            for child in range(first, first + count):
                walk(child, here)
            return
        at = blobs + struct.unpack_from(">I", data, tree + number * width + 10)[0]
        content = data[at + 4 : at + 4 + struct.unpack_from(">I", data, at)[0]]
        if not flags & 4:  # zstandard: texts only
            files[here] = zlib.decompress(content[4:]) if flags & 1 else content

    walk(0, "")
    return files


def material(unpacked: Path) -> dict[str, tuple[Image.Image, np.ndarray]]:
    """Return class name -> picture (RGB) and recording (mono float32 at 44.1 kHz)."""
    import resvg_py

    found = {}
    for folder in FOLDERS:
        files = unpack(next(unpacked.rglob(f"{folder}.rcc")))
        by_stem: dict[str, dict[str, bytes]] = {}
        for name, content in files.items():
            stem, _, suffix = name.rsplit("/", 1)[-1].rpartition(".")
            by_stem.setdefault(RENAMED.get(stem, stem), {})[suffix] = content
        for stem, kinds in by_stem.items():
            if "ogg" not in kinds or not kinds.keys() & {"webp", "svg"}:
                continue
            drawn = kinds.get("webp") or resvg_py.svg_to_bytes(
                svg_string=kinds["svg"].decode(), background="white", width=800
            )
            with av.open(io.BytesIO(kinds["ogg"])) as container:
                resampler = av.AudioResampler("flt", "mono", RATE)
                parts = [p.to_ndarray()[0] for f in container.decode(audio=0) for p in resampler.resample(f)]
            found[stem.replace("_", " ")] = (Image.open(io.BytesIO(bytes(drawn))).convert("RGB"), np.concatenate(parts))
    return found


def clip(picture: Image.Image, sound: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return frames (n, 256, 256, 3) uint8 and samples of three to five seconds."""
    seconds = float(rng.uniform(3, 5))
    start = int(rng.integers(0, max(1, len(sound) // 3)))
    samples = np.resize(sound[start:], round(seconds * RATE)).astype(np.float32) * rng.uniform(0.4, 1.0)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, height = picture.size
    side, zoom = max(width, height), rng.uniform(0.75, 1.1, 2)
    canvas = Image.new("RGB", (2 * side, 2 * side), tuple(int(v) for v in rng.integers(140, 256, 3)))
    canvas.paste(picture, (side - width // 2, side - height // 2))
    centre, drift = side + side * rng.uniform(-0.08, 0.08, 2), side * rng.uniform(-0.06, 0.06, 2)
    frames = []
    for place in np.linspace(0, 1, round(seconds * FPS)):
        half = side * (zoom[0] + (zoom[1] - zoom[0]) * place) / 2
        x, y = centre + drift * place
        frames.append(
            canvas.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=(x - half, y - half, x + half, y + half))
        )
    return np.stack([np.asarray(f) for f in frames]), samples


def build(unpacked: Path, out: Path, clips: int, seed: int = 0) -> dict[str, int]:
    """Write `clips` clips of every class below `out`; returns the number of each class."""
    made = {}
    for name, (picture, sound) in sorted(material(unpacked).items()):
        for number in range(clips):
            rng = np.random.default_rng([seed, number, *name.encode()])
            (out / name).mkdir(parents=True, exist_ok=True)
            frames, samples = clip(picture, sound, rng)
            write_mp4(out / name / f"{number}.mp4", frames, FPS, samples, RATE)
        made[name] = clips
    return made


def main() -> None:
    """Build the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=Path, help="folder that the Debian package was unpacked into")
    parser.add_argument("out", type=Path, help="folder of clips to write")
    parser.add_argument("--clips", type=int, default=6, help="clips of a class; default: %(default)s")
    options = parser.parse_args()
    made = build(options.unpacked, options.out, options.clips)
    print(f"{sum(made.values())} clips of {len(made)} classes: {', '.join(made)}")


if __name__ == "__main__":
    main()
