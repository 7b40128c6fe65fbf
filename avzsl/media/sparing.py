"""Frames that nobody looks at and no other frame is made of are not decoded: the others stay the same, bit for bit.

H.264 and HEVC say of a frame whether others are made of it; their decoders leave the rest out when told to (`skip_frame`).
Half of the frames of a usual file are of this kind.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator

from av.packet import Packet
from av.video.stream import VideoStream

from avzsl.media.findings import Findings

_CODECS = {"h264", "hevc"}
# Containers that say when a frame is shown; AVI, for one, gives it the time of its packet.
_TIMED = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv"}
# Packets in which the frame that follows one on the screen is found: twice the 16 frames that may be out of order, and more.
_AHEAD = 40
# Times whose steps differ by this factor say too little about when a frame is on show.
_EVEN = 2.5
# Gaps of more than a second between decoded frames mean that the picture stands still (`Findings.frozen_s`).
_LEAST = 3


class Sparing:
    """What is looked at: `count` pictures a second from `zero` on, those on show in the middle of equal parts of it.

    Every frame is decoded while `zero` is not known, while the picture has not moved, and once anything is damaged.
    """

    def __init__(self, count: int, findings: Findings) -> None:
        # Of one picture a second the middle is a middle of three, too.
        self._count = _LEAST if count == 1 else count
        self._findings = findings
        self._spared: set[int] = set()
        self.zero: float | None = None

    def packets(self, packets: Iterator[Packet], stream: VideoStream) -> Iterator[Packet]:
        """Yield packets in their order, each after the decoder was told whether its frame may be left out."""
        context = stream.codec_context
        if context.name not in _CODECS or stream.container.format.name not in _TIMED:
            yield from packets
            return
        waiting: deque[Packet] = deque()
        times: deque[int | None] = deque(maxlen=2 * _AHEAD + 1)
        for packet in packets:
            waiting.append(packet)
            times.append(packet.pts)
            if len(waiting) > _AHEAD:
                first = waiting.popleft()
                spare = self._not_needed(first, times)
                if spare and first.pts is not None:
                    self._spared.add(first.pts)
                context.skip_frame = "NONREF" if spare else "DEFAULT"
                yield first
        # The last frames are all decoded: one of them ends the clip.
        context.skip_frame = "DEFAULT"
        yield from waiting

    def passed(self, pts: int | None) -> int:
        """Return how many frames were left out before one that was decoded, since the last call."""
        if pts is None or not self._spared:
            return 0
        left_out = {spared for spared in self._spared if spared < pts}
        self._spared -= left_out | {pts}
        return len(left_out)

    def _not_needed(self, packet: Packet, times: deque[int | None]) -> bool:
        findings = self._findings
        if self.zero is None or not findings.moved or findings.lost_frames or not packet.time_base:
            return False
        known = sorted(time for time in times if time is not None)
        if packet.pts is None or len(known) < len(times):
            return False
        steps = [later - earlier for earlier, later in itertools.pairwise(known)]
        place = known.index(packet.pts)
        if max(steps) >= _EVEN * min(steps) or place == len(steps):
            return False
        begin, end = (float(time * packet.time_base) for time in known[place : place + 2])
        return not self._looked_at(begin - 1e-6, end + 1e-6)

    def _looked_at(self, begin: float, end: float) -> bool:
        """Whether one of the moments lies in [begin, end], seconds on the container's clock."""
        assert self.zero is not None
        next_one = math.ceil((begin - self.zero) * self._count - 0.5)
        return self.zero + (next_one + 0.5) / self._count <= end
