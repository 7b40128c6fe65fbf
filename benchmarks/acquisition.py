"""What acquisition costs besides transfer and re-encoding.

    python benchmarks/acquisition.py             # time per clip with 8 streams, memory over 200,000 rows
    python benchmarks/acquisition.py --clips 400 --rows 20000

An instant server on 127.0.0.1 (another process) hands out one tiny clip; no pause, no budget. Prints one JSON line a
measurement.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import pandas as pd

from avzsl.acquisition import fetch_shard
from avzsl.acquisition.sandbox import Sandbox
from avzsl.config.dataset import DatasetConfig

SHARD = 256


def write_clip(path: Path) -> None:
    """Write half a second of grey with silence."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        picture.width = picture.height = 64
        sound = out.add_stream("aac", rate=16000, layout="mono")
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode())
        for start in range(0, 8000, 1024):
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            wave.sample_rate, wave.pts = 16000, start
            out.mux(sound.encode(wave))
        out.mux(sound.encode())


def serve(body: bytes, pipe: Connection) -> None:
    """Answer every request with `body` at once."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            found = not self.path.endswith("robots.txt")
            self.send_response(206 if found else 404)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Range", f"bytes 0-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


def clips(count: int, start: int = 0) -> pd.DataFrame:
    """Return `count` clips of as many videos."""
    names = [f"{i:07d}.mp4" for i in range(start, start + count)]
    return pd.DataFrame({"clip_id": names, "path": names, "source_id": names, "class_name": "c"})


def dataset(source: dict[str, object]) -> DatasetConfig:
    """Return a data set with one source."""
    values = {"catalog": {"module": "x"}, "sources": [source], "embeddings": {"table": "demo"}}
    return DatasetConfig.model_validate(values)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def overhead(base: Path, count: int, streams: int) -> None:
    """Print the time per clip with `streams` parallel streams from an instant server."""
    write_clip(base / "clip.mp4")
    body = (base / "clip.mp4").read_bytes()
    receive, send = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("fork").Process(target=serve, args=(body, send), daemon=True)
    server.start()
    source = {"kind": "http", "url": f"http://127.0.0.1:{receive.recv()}/{{path}}", "pace": {"parallel": streams}}
    began, cpu = time.perf_counter(), cpu_seconds()
    table = fetch_shard(
        clips(count), "bench", dataset(source), base / "media/0000", base / "0.parquet", shard=0, workers=streams,
        state=base / "state",
    )  # fmt: skip
    wall, used = time.perf_counter() - began, cpu_seconds() - cpu
    server.kill()
    assert set(table["status"]) == {"ok"}
    with Sandbox(60) as sandbox:
        sandbox.probe(str(base / "clip.mp4"))
        start = time.perf_counter()
        for _ in range(50):
            sandbox.probe(str(base / "clip.mp4"))
        probe = (time.perf_counter() - start) / 50
    result = {
        "measure": "overhead", "clips": count, "streams": streams, "ms_per_clip": round(1e3 * wall / count, 2),
        "cpu_ms_per_clip": round(1e3 * used / count, 2), "of_which_probe_ms": round(1e3 * probe, 2),
    }  # fmt: skip
    print(json.dumps(result))


def memory(base: Path, rows: int) -> None:
    """Print how much the process grows over `rows` rows in shards of 256, none of whose files is there."""
    empty = base / "empty"
    empty.mkdir()
    config = dataset({"kind": "folder", "root": str(empty)})
    sizes, began = [], time.perf_counter()
    for shard in range(rows // SHARD):
        frame = clips(SHARD, shard * SHARD)
        fetch_shard(
            frame, "bench", config, base / f"m/{shard}", base / f"r/{shard:05d}.parquet", shard=shard, state=base / "s"
        )
        status = Path("/proc/self/status").read_text(encoding="ascii")
        sizes.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024)
    tenth = max(1, len(sizes) // 10)
    result = {
        "measure": "memory", "rows": len(sizes) * SHARD, "mb_after_a_tenth": round(sizes[tenth - 1]), "mb_at_the_end": round(sizes[-1]),
        "ms_per_row": round(1e3 * (time.perf_counter() - began) / (len(sizes) * SHARD), 3),
    }  # fmt: skip
    print(json.dumps(result))


def main() -> None:
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        overhead(Path(folder), arguments.clips, arguments.streams)
        memory(Path(folder), arguments.rows)


if __name__ == "__main__":
    main()
