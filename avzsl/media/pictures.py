"""The pictures of a file in the order in which they are shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avzsl.media.decoding import decode
from avzsl.media.errors import FAILURES, MediaError

# Pixels of the largest frame that is decoded: 8K (7680 x 4320) and a little more.
MAX_PIXELS = 40_000_000


def decode_video(container: InputContainer, stream: VideoStream, *, strict: bool) -> Iterator[VideoFrame]:
    """Yield the frames of a stream in the decoder's order, one thread, without seeking.

    Not `strict`: a packet that cannot be decoded is left out. Strict: it ends the clip with MediaError("corrupt").
    Raises MediaError("too_large") for a frame above 8K.
    """
    if stream.codec_context is None:
        raise MediaError("corrupt", "no decoder for its video stream")
    stream.thread_type = "NONE"
    with contextlib.suppress(*FAILURES):
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise MediaError("too_large", f"its frames are {stream.codec_context.width} x {stream.codec_context.height}")
    for frame in decode(container, stream, strict=strict):
        if frame.width * frame.height > MAX_PIXELS:
            raise MediaError("too_large", f"its frames are {frame.width} x {frame.height}")
        if frame.width and frame.height:
            yield frame
