"""yt-dlp's sentences -> the closed list of reasons.

Most sentences are YouTube's own and reach us through yt-dlp's ExtractorError. The list was collected from the
extractor of yt-dlp 2026.8.19 (extractor/youtube/_video.py, extractor/common.py) and from its issue tracker; a
test feeds them through yt-dlp's exceptions. A sentence that is not known counts as `network`: the clip stays open.
"""

from __future__ import annotations

import re

from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import ContentTooShortError, DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError

from avzsl.acquisition.errors import ClipError, first_sentence
from avzsl.acquisition.network import failure_of, without_addresses

# The first pattern that is found decides, so the special ones come before the general ones.
_SENTENCES: tuple[tuple[str, str], ...] = (
    ("rate_limited", r"rate.?limited|try again later|too many requests|HTTP Error 429|captcha"),
    ("sign_in_required", r"not a bot|IP is likely being blocked|unusual traffic"),
    ("age_restricted", r"confirm your age|age.restricted|age.?verification|inappropriate for some users|not appropriate for"),
    ("account_terminated", r"account.{0,40}(terminated|closed|suspended)|closed their.{0,20}account|terminated account"),
    ("private", r"\bprivate\b|members.only|join this channel|get access to members|members on level|requires payment|"
                r"purchase|rental|music premium"),
    ("geo_blocked", r"(your|this) (country|location|region)|geo.?restrict|in your area|from your location"),
    ("removed", r"removed|no longer available|does(n.t| not) exist|has been deleted|copyright|not available on this (app|device)|"
                r"video (is )?(unavailable|not available)|this video isn.t available|blocked it|violat|terms of service|"
                r"HTTP Error (404|410)"),
    ("no_such_format", r"format is not available|no video formats|\bDRM\b|unsupported url|live event|premieres? in|"
                       r"not currently live|live stream|only images are available|no suitable (extractor|infoextractor)|"
                       r"playback on other (web)?sites|being processed"),
    ("sign_in_required", r"sign in|log ?in|cookies|authenticat|registered users"),
    ("network", r"timed out|timeout|connection|unable to download|HTTP Error|name resolution|network|ssl|incomplete|"
                r"failed to extract|player response|certificate|page needs to be reloaded"),
)  # fmt: skip


def classify(error: BaseException, secrets: tuple[str, ...] = ()) -> ClipError:
    """Turn whatever yt-dlp raised into a ClipError; `secrets` never reach its text."""
    if isinstance(error, ClipError):
        return error
    if isinstance(error, DownloadError) and error.exc_info and error.exc_info[1] is not None:
        inner = error.exc_info[1]
        if inner is not error and isinstance(inner, Exception):
            return classify(inner, secrets)
    if isinstance(error, RequestError):
        failure = failure_of(error)
        return ClipError(failure.status, _clean(failure.error, secrets), failure.retry_after_s)
    message = _message(error)
    text = _clean(message, secrets)
    if isinstance(error, GeoRestrictedError):
        return ClipError("geo_blocked", text)
    if isinstance(error, UnsupportedError):
        return ClipError("no_such_format", text)
    if isinstance(error, ContentTooShortError):
        return ClipError("network", text)
    cause = getattr(error, "cause", None)
    if isinstance(cause, HTTPError):
        failure = failure_of(cause)
        # A page that is forbidden to yt-dlp says nothing about the video.
        status = "network" if failure.status == "private" else failure.status
        return ClipError(status, text, failure.retry_after_s)
    # Judged as it was said: a secret, say a user name, may be a word of the sentence.
    return ClipError(status_of(next(iter(without_addresses(message).strip().splitlines()), "")), text)


def status_of(sentence: str) -> str:
    """Return the status that a sentence of yt-dlp or YouTube means."""
    # Typographic apostrophes come and go.
    plain = sentence.replace("\u2019", "'")
    return next((status for status, pattern in _SENTENCES if re.search(pattern, plain, re.IGNORECASE)), "network")


def _message(error: BaseException) -> str:
    text = error.orig_msg if isinstance(error, ExtractorError) else str(error)
    text = re.sub(r"^(ERROR:\s*)?(\[[\w:+]+\]\s*)?", "", re.sub(r"\x1b\[[0-9;]*m", "", text))
    return text.split("; please report this issue")[0] or type(error).__name__


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return first_sentence(without_addresses(text))
