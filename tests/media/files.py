"""Files whose pictures and sound tell the time, in any container, codec, layout and orientation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 160, 120


def scene(moment: float) -> np.ndarray:
    """A coloured scene that says when it is: a bar that wanders, corners of different colours. (120, 160, 3) uint8."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = (200, 60, 40)
    image[: HEIGHT // 2, WIDTH // 2 :] = (40, 180, 60)
    image[HEIGHT // 2 :, : WIDTH // 2] = (50, 60, 200)
    left = int(moment * 40) % (WIDTH - 24)
    image[40:80, left : left + 24] = (240, 230, 60)
    image[100:116, 8 : 8 + int(moment * 10) % 140] = (255, 255, 255)
    return image


def tone(t: np.ndarray) -> np.ndarray:
    """A chirp that never repeats, with a click each half second; in [-1, 1]."""
    return 0.25 * np.sin(2 * np.pi * (200 * t + 25 * t**2)) + 0.5 * (np.mod(t, 0.5) < 0.004)


def write(
    path: Path, *, seconds: float = 6.0, fps: int = 25, codec: str = "libx264", audio_codec: str = "aac", rate: int = 44100,
    layout: str = "mono", gop: int = 25, times: Sequence[float] | None = None, colour: dict[str, int] | None = None,
    pix_fmt: str = "yuv420p", picture: Callable[[float], np.ndarray] = scene, sound: Callable[[np.ndarray], np.ndarray] = tone,
    silent_packets: tuple[float, float] | None = None, options: dict[str, str] | None = None, subtitles: bool = False,
) -> Path:  # fmt: skip
    """Write a clip; `silent_packets` (from, to) leaves the sound's packets of those seconds out."""
    with av.open(str(path), "w", options=options or {}) as out:
        video: Any = out.add_stream(
            codec, rate=fps, options={"crf": "8", "g": str(gop)} if codec == "libx264" else {"g": str(gop)}
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if codec != "libx264":
            video.bit_rate = 4_000_000
        if codec not in ("mpeg4", "mpeg2video"):
            video.codec_context.time_base = Fraction(1, 1000 if times else fps)
        for name, value in (colour or {}).items():
            setattr(video.codec_context, name, value)
        audio: Any = out.add_stream(audio_codec, rate=rate, layout=layout)
        if audio_codec.startswith("wma"):
            audio.bit_rate = 128_000
        base = video.codec_context.time_base or Fraction(1, fps)
        moments = times if times is not None else [k / fps for k in range(round(seconds * fps))]
        items: list[tuple[float, Any]] = []
        for moment in moments:
            frame = av.VideoFrame.from_ndarray(picture(moment), format="rgb24")
            matrix = "ITU709" if (colour or {}).get("colorspace") == 1 else "ITU601"
            frame = frame.reformat(
                format=pix_fmt,
                dst_colorspace=matrix,
                dst_color_range="JPEG" if (colour or {}).get("color_range") == 2 else "MPEG",
            )
            frame.pts, frame.time_base = round(moment / base), base
            items += [(moment, packet) for packet in video.encode(frame)]
        items += [(moments[-1], packet) for packet in video.encode(None)]
        channels = audio.codec_context.layout.nb_channels
        wave = sound(np.arange(round(seconds * rate)) / rate)
        samples = np.repeat((wave * 30000).astype(np.int16)[:, None], channels, 1).reshape(1, -1)
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout=layout)
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        fifo = av.AudioFifo()
        for piece in av.AudioResampler(audio.codec_context.format, layout, rate).resample(whole):
            fifo.write(piece)
        done = 0
        while fifo.samples:
            part = fifo.read(min(audio.codec_context.frame_size or 1024, fifo.samples))
            part.pts, part.time_base = done, Fraction(1, rate)
            items += [(done / rate, packet) for packet in audio.encode(part)]
            done += part.samples
        with contextlib.suppress(av.EOFError):
            items += [(done / rate, packet) for packet in audio.encode(None)]
        for _, packet in sorted(items, key=lambda item: item[0]):
            moment = float((packet.pts or 0) * packet.time_base)
            if silent_packets and packet.stream is audio and silent_packets[0] <= moment < silent_packets[1]:
                continue
            out.mux(packet)
    return path


def turned(source: Path, out: Path, matrix: Sequence[int]) -> Path:
    """Write an mp4 again with another display matrix (a, b, c, d) in its picture's track header."""
    data = bytearray(source.read_bytes())
    place = data.find(b"tkhd")
    values = (*matrix[:2], 0, *matrix[2:], 0, 0, 0, 1 << 14)  # the last one is 2.30 fixed point
    scaled = [v << 16 for v in values]
    begin = place + 4 + 40  # version 0: the matrix follows 40 bytes
    for k, value in enumerate(scaled):
        data[begin + 4 * k : begin + 4 * k + 4] = value.to_bytes(4, "big", signed=True)
    out.write_bytes(bytes(data))
    return out


def wrapped(source: Path, out: Path, after: float) -> Path:
    """Write an MPEG-TS again with its 33-bit clock moved so that it wraps `after` seconds from 0."""
    data = bytearray(source.read_bytes())
    moved = (1 << 33) - round(after * 90000)

    def move(
        place: int,
    ) -> None:  # a PTS or DTS: 3, 15 and 15 bits, each followed by a marker (ISO/IEC 13818-1 2.4.3.7)
        a, b, c = data[place], int.from_bytes(data[place + 1 : place + 3]), int.from_bytes(data[place + 3 : place + 5])
        ticks = ((a >> 1 & 7) << 30 | (b >> 1) << 15 | c >> 1) + moved & (1 << 33) - 1
        data[place] = a & 0xF0 | ticks >> 30 << 1 | 1
        data[place + 1 : place + 3] = ((ticks >> 15 & 0x7FFF) << 1 | 1).to_bytes(2)
        data[place + 3 : place + 5] = ((ticks & 0x7FFF) << 1 | 1).to_bytes(2)

    for packet in range(0, len(data), 188):
        payload = packet + 4
        if data[packet + 3] & 0x20:  # an adaptation field
            length = data[packet + 4]
            payload += 1 + length
            if length and data[packet + 5] & 0x10:  # its clock reference: 33 bits and more
                clock = int.from_bytes(data[packet + 6 : packet + 12])
                ticks = (clock >> 15) + moved & (1 << 33) - 1
                data[packet + 6 : packet + 12] = (ticks << 15 | clock & 0x7FFF).to_bytes(6)
        if data[packet + 1] & 0x40 and data[packet + 3] & 0x10 and data[payload : payload + 3] == b"\0\0\1":
            flags = data[payload + 7] >> 6
            if flags & 2:
                move(payload + 9)
            if flags == 3:
                move(payload + 14)
    out.write_bytes(bytes(data))
    return out


def hidden(source: Path, out: Path, seconds: float) -> Path:
    """Write an mp4 again with edit lists that hide its first seconds, as cutting by stream copy does."""
    data = bytearray(source.read_bytes())

    def add(place: int, amount: float) -> None:
        data[place : place + 4] = round(int.from_bytes(data[place : place + 4]) + amount).to_bytes(4)

    def boxes(begin: int, end: int) -> dict[bytes, list[tuple[int, int]]]:
        found: dict[bytes, list[tuple[int, int]]] = {}
        while begin < end:
            size = int.from_bytes(data[begin : begin + 4])
            found.setdefault(bytes(data[begin + 4 : begin + 8]), []).append((begin + 8, begin + size))
            begin += size
        return found

    movie = boxes(*boxes(0, len(data))[b"moov"][0])
    header = movie[b"mvhd"][0][0]  # version 0, as everywhere here: four bytes a number
    scale = int.from_bytes(data[header + 12 : header + 16])
    add(header + 16, -seconds * scale)
    for track in movie[b"trak"]:
        parts = boxes(*track)
        add(parts[b"tkhd"][0][0] + 20, -seconds * scale)
        media = boxes(*parts[b"mdia"][0])[b"mdhd"][0][0]
        edit = boxes(*parts[b"edts"][0])[b"elst"][0][0]  # length and begin of its only entry
        assert int.from_bytes(data[edit + 4 : edit + 8]) == 1
        add(edit + 8, -seconds * scale)
        add(edit + 12, seconds * int.from_bytes(data[media + 12 : media + 16]))
    out.write_bytes(bytes(data))
    return out
