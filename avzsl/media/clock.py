"""One clock for a file: where it begins, and where recordings that were joined follow each other."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from avzsl.media.beginnings import second_beginning
from avzsl.media.errors import MediaError
from avzsl.media.failures import FAILURES
from avzsl.media.opening import is_broadcast, open_container, packets_of
from avzsl.media.streams import choose_streams

# A clock that goes back by more than this begins again; one that goes on by more than this in all streams at once has jumped.
BACK_S = 1.0
AHEAD_S = 10.0
# A jump back so near to the last packet is a damaged time stamp.
_TAIL_SHARE = 0.1
# A container that begins earlier than this begins at 0: the rest is the delay of codecs.
_DELAY_S = 0.5


@dataclass(frozen=True)
class Jump:
    """A place where the clock of one stream does not go on: number of its packet, and the times around it in seconds."""

    packet: int
    before: float
    after: float

    @property
    def back(self) -> bool:
        return self.after < self.before


@dataclass
class Track:
    """The decoding times of the packets of one stream, and where they jump; `base` are seconds a tick."""

    base: float
    packets: int = 0
    first: float | None = None
    end: float = 0.0
    reached: int = 0  # bytes of the file up to the end of the last packet
    jumps: list[Jump] = field(default_factory=list)

    def take(self, packet: Packet) -> None:
        """Follow one packet of the stream, in the order of the file."""
        if not packet.size:
            return
        if packet.pos is not None:
            self.reached = max(self.reached, packet.pos + packet.size)
        time = packet.dts if packet.dts is not None else packet.pts
        if time is not None:
            now = time * self.base
            if self.first is None:
                self.first = self.end = now
            elif now < self.end - BACK_S or now > self.end + AHEAD_S:
                self.jumps.append(Jump(self.packets, self.end, now))
            self.end = now + (packet.duration or 0) * self.base
        self.packets += 1

    @property
    def backs(self) -> list[Jump]:
        """Where the clock goes back and a good share of the packets comes after: more than a damaged time stamp."""
        return [jump for jump in self.jumps if jump.back and jump.packet < (1 - _TAIL_SHARE) * self.packets]


@dataclass(frozen=True)
class Joins:
    """Where the recordings of a file begin: for each stream the numbers of its packets, and the seconds to add from there."""

    starts: dict[int, list[int]] = field(default_factory=dict)  # by index of the stream
    shifts: tuple[float, ...] = (0.0,)

    @property
    def several(self) -> bool:
        return len(self.shifts) > 1

    def shift(self, stream: Stream, number: int) -> float:
        """Return the seconds to add to the times of packet `number` of a stream."""
        return self.shifts[bisect_right(self.starts.get(stream.index, []), number)]


def find_joins(container: InputContainer, file: Path | IO[bytes] | Any) -> Joins:
    """Return where recordings that were joined byte by byte begin.

    `container` is `file` opened; it is opened again and all its packets read if its format's clock may jump, or if a second
    recording begins in it.

    Broadcast formats (MPEG-TS, MPEG-PS) and FLV let the clock begin again, wrap or jump. It has done so where both picture
    and sound go back, or both go on by more than ten seconds across the same gap: the parts then follow each other, as
    ffmpeg lets them. A jump of one of the two is a hole in it, or damage.

    Raises MediaError("corrupt") where the recordings cannot follow each other (see `not_followed`).
    """
    place = second_beginning(file) if isinstance(file, Path) else None
    if place is None and not may_jump(container):
        return Joins()
    with open_container(file) as whole:
        chosen = choose_streams(whole)
        streams = [stream for stream in (chosen.video, chosen.audio) if stream is not None]
        tracks = {stream.index: Track(float(stream.time_base or 0)) for stream in streams}
        try:
            for packet in packets_of(whole, *streams):
                tracks[packet.stream.index].take(packet)
        except FAILURES:
            pass  # what comes before the damage has been seen
    joins = joins_of(tracks) if may_jump(container) else Joins()
    if message := not_followed(place, list(tracks.values()), joins):
        raise MediaError("corrupt", message)
    return joins


def not_followed(place: int | None, tracks: list[Track], joins: Joins) -> str | None:
    """Say so if a second recording begins at byte `place` whose packets are not read, or not as what follows the first."""
    if place is not None and tracks and max(track.reached for track in tracks) <= place:
        return f"a second recording begins at byte {place}, where reading ends: several recordings were joined"
    backs = [] if joins.several else [jump for track in tracks for jump in track.backs]
    if backs:
        return (
            f"its clock goes back from {backs[0].before:.2f} to {backs[0].after:.2f} s: several recordings were joined"
        )
    return None


def may_jump(container: InputContainer) -> bool:
    """Whether recordings of this format can be joined byte by byte."""
    return is_broadcast(container) or container.format.name == "flv"


def joins_of(tracks: dict[int, Track]) -> Joins:
    """Match the jumps of the streams (see `find_joins`)."""
    places = [0] * len(tracks)
    starts: dict[int, list[int]] = {index: [] for index in tracks}
    shifts = [0.0]
    lists = [track.jumps for track in tracks.values()]
    while all(place < len(jumps) for place, jumps in zip(places, lists, strict=True)):
        heads = [jumps[place] for place, jumps in zip(places, lists, strict=True)]
        if _same(heads):
            for index, jump in zip(tracks, heads, strict=True):
                starts[index].append(jump.packet)
            shifts.append(shifts[-1] + max(j.before for j in heads) - min(j.after for j in heads))
            places = [place + 1 for place in places]
        else:
            # One stream alone: the earlier of the two forward jumps is its own affair.
            alone = min(range(len(heads)), key=lambda k: (heads[k].back, heads[k].before))
            places[alone] += 1
    return Joins(starts, tuple(shifts))


def _same(heads: list[Jump]) -> bool:
    if all(jump.back for jump in heads):
        return True
    if any(jump.back for jump in heads):
        return False
    return min(j.after for j in heads) - max(j.before for j in heads) > AHEAD_S - BACK_S


def origin(container: InputContainer) -> float:
    """Return the time at which a container begins: broadcast may begin at any, players count from there."""
    begin = container.start_time / av.time_base if container.start_time else 0.0
    return begin if abs(begin) > _DELAY_S else 0.0
