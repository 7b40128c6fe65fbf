"""What nobody may read in a record, log or page: secret values that this process met, and the secret parts of addresses."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import urlsplit

# As pydantic writes a SecretStr.
MASK = "**********"
# Shorter values would be found in innocent words.
_SHORTEST = 4
_known: set[str] = set()
_USER = re.compile(r"(\w+://)[^/\s'\"@]+@")
_QUERY = re.compile(r"((?:https?|ftp)://[^\s?'\"]*)\?([^\s'\")]*)")
# A template that is filled in for every clip, and a variable that is looked up when it is used.
_OPEN = re.compile(r"\{[^{}]*\}|\$\w+|\$\{\w+\}")


def remember(secret: str) -> str:
    """Have `hide` replace a value from now on; return it."""
    if len(secret) >= _SHORTEST:
        _known.add(secret)
    return secret


def hide(text: str) -> str:
    """Return a text without the secrets this process met."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def masked(address: str) -> str:
    """Return an address or a text that holds some with user names, passwords and values of queries masked; templates stay."""

    def query(match: re.Match[str]) -> str:
        parts = (part.partition("=") for part in match[2].split("&"))
        values = (f"{k}={v if not v or _OPEN.fullmatch(v) else MASK}" if eq else MASK for k, eq, v in parts)
        return f"{match[1]}?{'&'.join(values)}"

    return _QUERY.sub(query, _USER.sub(rf"\1{MASK}@", address))


def masked_all(value: Any) -> Any:
    """Return JSON-like values with every text `masked`."""
    if isinstance(value, str):
        return masked(value) if "://" in value else value
    if isinstance(value, dict):
        return {key: masked_all(part) for key, part in value.items()}
    return [masked_all(part) for part in value] if isinstance(value, list | tuple) else value


def place_of(address: str) -> str:
    """Return an address for messages: scheme, host and path alone."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


class Hiding(logging.Filter):
    """Takes secrets out of what is logged, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _known:
            record.msg, record.args = hide(record.getMessage()), ()
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_text = hide(record.exc_text) if record.exc_text else record.exc_text
        return True
