"""Checks before a long run; `avzsl doctor` shows them on one screen."""

from __future__ import annotations

import datetime
import http.cookiejar
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from avzsl.acquisition.errors import AcquisitionError, ClipError, first_sentence
from avzsl.acquisition.fetch import fetch_shard
from avzsl.acquisition.pace import Pace
from avzsl.config.dataset import DatasetConfig
from avzsl.config.sources import ArchiveSource, FolderSource, HttpSource, Source, YoutubeSource
from avzsl.contracts.schemas import CLIPS

# YouTube changes every few weeks and yt-dlp follows.
_OLD_DAYS = 60
# JavaScript runtimes that yt-dlp can use for YouTube, the option that tells their version, and the oldest that works.
_RUNTIMES = {
    "deno": ("--version", (2, 0)),
    "node": ("--version", (20, 0)),
    "bun": ("--version", (1, 0)),
    "qjs": ("-h", (0, 0)),
}
_RAR_TOOLS = ("unrar", "unar", "7z", "7zz", "bsdtar")


@dataclass(frozen=True)
class Check:
    """One line of the screen."""

    subject: str
    state: Literal["ok", "warn", "fail"]
    finding: str


def check_tools(online: bool = True) -> Iterator[Check]:
    """Look at FFmpeg's libraries and the GPU; where clips come from the net, at yt-dlp and its JavaScript runtime too."""
    if online:
        yield check_ytdlp(version("yt-dlp"), datetime.date.today())
        yield check_runtime()
    yield check_ffmpeg()
    yield check_gpu()


def check_ytdlp(installed: str, today: datetime.date) -> Check:
    """Judge yt-dlp by the date in its version."""
    try:
        released = datetime.date(*(int(part) for part in installed.split(".")[:3]))
    except (ValueError, TypeError):
        return Check("yt-dlp", "warn", f"{installed}: the version tells no date")
    days = (today - released).days
    if days > _OLD_DAYS:
        return Check(
            "yt-dlp", "warn", f"{installed} is {days} days old; YouTube may have moved on: pip install -U yt-dlp"
        )
    return Check("yt-dlp", "ok", f"{installed}, {days} days old")


def check_runtime() -> Check:
    """Look for a JavaScript runtime, which yt-dlp needs for YouTube."""
    old = ""
    for name, (option, oldest) in _RUNTIMES.items():
        path = shutil.which(name)
        if path is None:
            continue
        try:
            said = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        match = re.search(r"(\d+)\.(\d+)", said)
        found = (int(match[1]), int(match[2])) if match else (0, 0)
        if found >= oldest:
            return Check("JavaScript runtime", "ok", f"{name} {found[0]}.{found[1]}")
        old = f"{name} {found[0]}.{found[1]} is too old; "
    return Check("JavaScript runtime", "warn", f"{old}YouTube needs deno >= 2.0 or node >= 20; other sources need none")


def check_ffmpeg() -> Check:
    """Look for the codecs that data sets come in and that cuts are written with."""
    import av

    wanted: dict[str, Literal["r", "w"]] = {
        "h264": "r",
        "hevc": "r",
        "vp9": "r",
        "av1": "r",
        "mpeg4": "r",
        "aac": "r",
        "opus": "r",
        "mp3": "r",
        "libx264": "w",
    }
    lacking = []
    for name, mode in wanted.items():
        try:
            av.Codec(name, mode)
        except av.codec.codec.UnknownCodecError:
            lacking.append(name)
    text = f"PyAV {av.__version__}, FFmpeg {'.'.join(map(str, av.library_versions['libavcodec']))} (libavcodec)"
    return Check("FFmpeg", "warn" if lacking else "ok", text + (f"; lacks {', '.join(lacking)}" if lacking else ""))


def check_gpu() -> Check:
    """Ask torch for a GPU; acquisition needs none, extraction is much faster with one."""
    import torch

    if torch.cuda.is_available():
        return Check("GPU", "ok", torch.cuda.get_device_name(0))
    return Check("GPU", "ok", "none; features are extracted on the CPU")


def check_disk(folder: Path, needed_bytes: float) -> Check:
    """Compare the free space where `folder` is, or will be, with the estimate."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.0f} GB free at {place}, about {needed_bytes / 1e9:.1f} GB needed"
    if needed_bytes > free:
        return Check("disk", "fail", f"{text}; choose another `data` folder or `media.keep: features`")
    return Check("disk", "warn" if needed_bytes > 0.8 * free else "ok", text)


def check_source(config: Source, state: Path, online: bool = True, made: Path | None = None) -> Iterator[Check]:
    """Look at one source without asking it for a clip: folders, archives, hosts, cookies, pace.

    A folder below `made` that is not there yet is one that the workflow will make.
    """
    subject = f"source {config.name or config.kind}"
    if isinstance(config, FolderSource):
        root = Path(os.path.expandvars(config.root)).expanduser()
        if root.is_dir():
            yield Check(subject, "ok", f"folder {root}")
        elif made is not None and made.absolute() in root.absolute().parents:
            yield Check(subject, "warn", f"folder {root} is not there yet; the workflow makes it")
        else:
            yield Check(subject, "fail", f"folder {root} does not exist")
        return
    if isinstance(config, ArchiveSource):
        if any(name.lower().endswith(".rar") for name in config.archives):
            tool = next(filter(shutil.which, _RAR_TOOLS), None)
            text = (
                f"rar is unpacked by {tool}"
                if tool
                else f"no program to unpack rar: install one of {', '.join(_RAR_TOOLS)}"
            )
            yield Check(subject, "ok" if tool else "fail", text)
        local = [name for name in config.archives if "://" not in name and "*" not in name]
        gone = [name for name in local if not Path(os.path.expandvars(name)).expanduser().is_file()]
        if gone:
            yield Check(subject, "fail", f"{gone[0]} does not exist")
        urls = [name for name in config.archives if "://" in name]
    else:
        urls = [config.url]
        key = f"http-{urlsplit(config.url).hostname or config.name}" if isinstance(config, HttpSource) else config.name
        yield _pace(subject, Pace(state, str(key), config.pace))
    if isinstance(config, YoutubeSource):
        yield check_cookies(subject, config)
    for host in sorted({urlsplit(url).netloc.rpartition("@")[2] for url in urls} - {""}):
        if online and not {"{", "$"} & set(host):
            yield _reach(subject, host)


def check_cookies(subject: str, config: YoutubeSource) -> Check:
    """Say whether cookies are configured, readable and fresh; never what is in them."""
    if config.cookies is None:
        known = f"from the browser {config.cookies_from_browser}" if config.cookies_from_browser else "none"
        return Check(subject, "ok", f"cookies: {known}")
    path = Path(os.path.expandvars(config.cookies)).expanduser()
    jar = http.cookiejar.MozillaCookieJar(path)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (OSError, http.cookiejar.LoadError) as error:
        return Check(subject, "fail", f"cookies: {path} is not readable as a cookies.txt ({type(error).__name__})")
    fresh = [cookie for cookie in jar if not cookie.is_expired()]
    if path.stat().st_mode & 0o077:
        return Check(subject, "warn", f"cookies: {path} may be read by others: chmod 600")
    if not fresh:
        return Check(subject, "warn", f"cookies: all {len(jar)} in {path} have expired")
    return Check(subject, "ok", f"cookies: {len(fresh)} of {len(jar)} in {path} are valid")


def check_clip(clip_row: dict[str, object], name: str, dataset: DatasetConfig, config: Source) -> Check:
    """Fetch one clip from one source into a folder that is thrown away."""
    import pandas as pd

    subject = f"source {config.name or config.kind}"
    frame = pd.DataFrame([clip_row], columns=list(CLIPS.columns))
    alone = dataset.model_copy(update={"sources": (_hasty(config),)})
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        try:
            row = fetch_shard(frame, name, alone, base / "a/media/0", base / "0.parquet", shard=0, state=base).iloc[0]
        except (AcquisitionError, ClipError) as error:
            return Check(subject, "fail", f"test clip: {first_sentence(error)}")
    seconds = time.monotonic() - began
    if row["status"] == "ok":
        text = f"test clip: {row['width']}x{row['height']}, {row['duration_s']:.1f} s, {row['bytes'] / 1e6:.2f} MB in {seconds:.1f} s"
        return Check(subject, "ok", text)
    state: Literal["warn", "fail"] = "warn" if row["permanent"] else "fail"
    return Check(
        subject, state, f"test clip {first_sentence(clip_row['clip_id'], 40)!r}: {row['status']} ({row['error']})"
    )


def _hasty(config: Source) -> Source:
    """Return the source with one attempt and without pauses: a check must not take an hour."""
    if isinstance(config, FolderSource):
        return config
    pace = config.pace.model_copy(update={"attempts": 1, "cool_down_s": 0.0, "sleep_s": (0.0, 0.0)})
    return config.model_copy(update={"pace": pace})


def _pace(subject: str, pace: Pace) -> Check:
    state, now = pace.look(), time.time()
    if state.open_until > now:
        return Check(subject, "fail", f"stopped: {state.reason}; `avzsl retry --now` asks again")
    if state.cool_until > now:
        return Check(subject, "warn", f"cooling down for {state.cool_until - now:.0f} s more")
    return Check(subject, "ok", "not cooling down")


def _reach(subject: str, host: str) -> Check:
    name, _, port = host.partition(":")
    try:
        with socket.create_connection((name, int(port or 443)), timeout=5):
            return Check(subject, "ok", f"{name} answers")
    except (OSError, ValueError) as error:
        return Check(subject, "fail", f"{name} cannot be reached: {first_sentence(error)}")
