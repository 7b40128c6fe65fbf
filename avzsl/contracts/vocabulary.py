"""Closed lists of names that tables, arrays and commands share; nothing heavy is imported for them."""

from __future__ import annotations

# The two streams of a clip, in the order in which everything holds them.
MODALITIES = ("audio", "visual")

# How a clip's acquisition ended. The list is closed: a new failure must be given one of these.
MEDIA_STATUS = (
    "ok",
    "removed",  # the site says that the video is gone
    "private",
    "account_terminated",
    "geo_blocked",
    "age_restricted",
    "sign_in_required",
    "rate_limited",
    "network",  # time-outs, resets, 5xx, unreachable hosts, name look-ups
    "no_such_format",
    "no_audio_stream",
    "no_video_stream",
    "shorter_than_segment",
    "corrupt",  # fetched or present, but no decoder reads it
    "too_large",
    "refused_by_policy",  # licence, robots or noai says no
    "missing",  # a local file that the catalogue lists is not there
)
# Failures that asking again cannot mend.
PERMANENT_STATUS = frozenset(
    {
        "removed", "private", "account_terminated", "geo_blocked", "age_restricted", "no_such_format",
        "no_audio_stream", "no_video_stream", "shorter_than_segment", "corrupt", "too_large", "refused_by_policy",
    }
)  # fmt: skip

# How a clip's feature extraction ended.
FEATURE_STATUS = (
    "ok",
    "no_media",  # acquisition did not end in ok; its status is in `reason`
    "no_audio_stream",
    "no_video_stream",
    "too_short",
    "corrupt",  # the decoder gave up
    "time_limit",
    "decoder_crash",  # the decoding process died on this clip
    "too_large",
    "unsupported",  # readable, but the window plan needs what its container does not state
)
