"""What nobody may read in a record, log or page: secret values that this process met, and the secret parts of addresses."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

from avzsl.contracts.errors import ConfigError

# As pydantic writes a SecretStr.
MASK = "**********"
# Shorter values would be found in innocent words.
_SHORTEST = 4
# Words of a header, and cookies, that are shorter (a scheme's name, a language) are innocent.
_SHORTEST_WORD = 8
_known: frozenset[str] = frozenset()
_pattern: re.Pattern[str] | None = None
_USER = re.compile(r"(\w+://)([^/\s'\"@]+)@")
_QUERY = re.compile(r"((?:https?|ftp)://[^\s?'\"]*)\?([^\s'\")]*)")
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")
# A template that is filled in for every clip, a variable that is looked up when it is used, and a switch.
_OPEN = re.compile(r"\{[^{}]*\}|\$\w+|\$\{\w+\}|[01]|true|false")


def remember(*secrets: str) -> None:
    """Have `hide` replace values from now on, also where a server spells them as addresses do, or in another case."""
    global _known, _pattern  # noqa: PLW0603 (threads read them, so that neither is ever changed)
    new = {secret for secret in secrets if len(secret) >= _SHORTEST} - _known
    if new:
        _known |= new
        _pattern = _spelled(_known)


def _spelled(secrets: Iterable[str]) -> re.Pattern[str]:
    ways = {way for secret in secrets for way in (secret, quote(secret, safe=""), quote_plus(secret))}
    return re.compile("|".join(re.escape(way) for way in sorted(ways, key=len, reverse=True)), re.IGNORECASE)


def remember_address(address: str) -> None:
    """Have `hide` replace user name, password and the values of the query of an address."""
    remember(*_secrets_of(address, ()))


def hide_address(text: str, address: str, known: tuple[str | None, ...]) -> str:
    """Return a text without the secrets of one address, but for the values of `known`.

    For addresses of which there is one a clip: they are no more to be remembered than the clip.
    """
    secrets = [secret for secret in _secrets_of(address, known) if len(secret) >= _SHORTEST]
    return _spelled(secrets).sub(MASK, text) if secrets else text


def _secrets_of(address: str, known: tuple[str | None, ...]) -> list[str]:
    netloc, _, rest = address.partition("://")[2].partition("/")
    user, password = (netloc.rpartition("@")[0].partition(":")[i] for i in (0, 2))
    values = [value for part in rest.partition("?")[2].split("&") for value in [part.partition("=")[2] or part]]
    found = [
        value for value in (user, password, *values) if not _OPEN.fullmatch(value) and unquote_plus(value) not in known
    ]
    return [*found, *(unquote_plus(value) for value in found), *([_basic(user, password)] if password else [])]


def remember_header(value: str) -> None:
    """Have `hide` replace the value of a header and its words; of user name and password also these."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            remember(*base64.b64decode(rest, validate=True).decode("utf-8").split(":", 1))
    remember(value)
    remember_words(*re.split(r"[\s;,=]+", value))


def remember_words(*words: str) -> None:
    """Have `hide` replace those values that are too long to be innocent words."""
    remember(*(word for word in words if len(word) >= _SHORTEST_WORD))


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{unquote_plus(user)}:{unquote_plus(password)}".encode()).decode()


def filled(text: str) -> str:
    """Return a text with its environment variables filled in; their values are secrets from now on.

    Raises ConfigError if one is not set.
    """
    for match in _VARIABLE.finditer(text):
        name = match[1] or match[2]
        if name not in os.environ:
            raise ConfigError(f"the environment variable {name}, which the configuration names, is not set")
        remember(os.environ[name])
    return os.path.expandvars(text)


def hide(text: str) -> str:
    """Return a text without the secrets this process met."""
    return _pattern.sub(MASK, text) if _pattern is not None else text


def masked(address: str) -> str:
    """Return an address or a text that holds some with user names, passwords and values of queries masked; templates stay."""

    def user(match: re.Match[str]) -> str:
        return match[0] if all(_OPEN.fullmatch(part) for part in match[2].split(":")) else f"{match[1]}{MASK}@"

    def query(match: re.Match[str]) -> str:
        parts = (part.partition("=") for part in match[2].split("&"))
        values = (f"{k}={v if not v or _OPEN.fullmatch(v) else MASK}" if eq else MASK for k, eq, v in parts)
        return f"{match[1]}?{'&'.join(values)}"

    return _QUERY.sub(query, _USER.sub(user, address))


def masked_all(value: Any) -> Any:
    """Return JSON-like values with every text `masked`."""
    if isinstance(value, str):
        return masked(value) if "://" in value else value
    if isinstance(value, dict):
        return {key: masked_all(part) for key, part in value.items()}
    return [masked_all(part) for part in value] if isinstance(value, list | tuple) else value


def without_secrets(address: str) -> str:
    """Return an address of the configuration; raises ValueError if it holds what records must not.

    For addresses that stand in records as they are.
    """
    if masked(address) != address:
        raise ValueError(
            "holds a user name, a password or a query, which records would show; put them into an environment variable, "
            "as in https://$LOGIN@host/file?key=$KEY"
        )
    return address


def place_of(address: str) -> str:
    """Return an address for messages: scheme, host and path alone."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # no address at all
        return masked(address)
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


class Hiding(logging.Filter):
    """Takes secrets out of what is logged, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _pattern is not None:
            record.msg, record.args = hide(record.getMessage()), ()
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_text = hide(record.exc_text) if record.exc_text else record.exc_text
        return True
