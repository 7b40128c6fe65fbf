"""What a site asks of robots and of those who train models: robots.txt and X-Robots-Tag."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from avzsl.acquisition.errors import ClipError

_OPT_OUT = {"noai", "noimageai"}
_LONGEST_ROBOTS = 500_000  # bytes; RFC 9309 asks readers for at least 500 kiB


class Robots:
    """robots.txt of the hosts met, each read once (RFC 9309); for several threads."""

    def __init__(self, user_agent: str) -> None:
        self._agent = re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0] or "*"
        self._known: dict[str, RobotFileParser] = {}
        self._lock = threading.Lock()

    def check(self, url: str, load: Callable[[str], bytes]) -> None:
        """Raise ClipError (refused_by_policy) if robots.txt of the host forbids `url`.

        `load` gets an address. A missing robots.txt (any 4xx) forbids nothing; one that cannot be
        reached leaves the clip open (network), as the standard says.
        """
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            rules = self._known.get(host)
            if rules is None:
                rules = self._known[host] = self._read(f"{host}/robots.txt", load)
        if not rules.can_fetch(self._agent, url):
            raise ClipError("refused_by_policy", f"robots.txt of {parts.hostname} forbids this address")

    @staticmethod
    def _read(address: str, load: Callable[[str], bytes]) -> RobotFileParser:
        rules = RobotFileParser(address)
        try:
            text = load(address)[:_LONGEST_ROBOTS].decode("utf-8", "replace")
        except ClipError as failure:
            if failure.status == "rate_limited" or (failure.status == "network" and "HTTP 4" not in failure.error):
                raise
            text = ""
        rules.parse(text.splitlines())
        return rules


def check_headers(answer: Any) -> None:
    """Raise ClipError (refused_by_policy) if an answer's X-Robots-Tag opts out of machine learning.

    The header may name a robot before its rules; a rule for any robot counts here.
    """
    value = (answer.get_header("X-Robots-Tag") or "").lower()
    rules = {word.split(":")[-1].strip() for word in value.split(",")}
    found = rules & _OPT_OUT
    if found:
        raise ClipError("refused_by_policy", f"the server's X-Robots-Tag says {', '.join(sorted(found))}")
