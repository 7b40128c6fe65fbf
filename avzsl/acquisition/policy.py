"""What a site asks of robots and of those who train models: robots.txt and X-Robots-Tag."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from protego import Protego

from avzsl.acquisition.errors import ClipError

_OPT_OUT = {"noai", "noimageai"}


class Robots:
    """robots.txt of the hosts met, each read once (RFC 9309); for several threads."""

    def __init__(self, user_agent: str) -> None:
        self._agent = re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0] or "*"
        self._known: dict[str, Protego] = {}
        self._lock = threading.Lock()

    def check(self, url: str, load: Callable[[str], bytes]) -> None:
        """Raise ClipError (refused_by_policy) if robots.txt of the host forbids `url`.

        `load` gets an address and returns nothing where there are no rules (any 4xx, as the standard says); what it
        raises when the host cannot be reached leaves the clip open.
        """
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            rules = self._known.get(host)
            if rules is None:
                text = load(f"{host}/robots.txt").decode("utf-8-sig", "replace")
                rules = self._known[host] = Protego.parse(text)
        if not rules.can_fetch(url, self._agent):
            raise ClipError("refused_by_policy", f"robots.txt of {parts.hostname} forbids this address")


def check_headers(answer: Any) -> None:
    """Raise ClipError (refused_by_policy) if an answer's X-Robots-Tag opts out of machine learning.

    The header may name a robot before its rules; a rule for any robot counts here.
    """
    value = (answer.get_header("X-Robots-Tag") or "").lower()
    rules = {word.split(":")[-1].strip() for word in value.split(",")}
    found = rules & _OPT_OUT
    if found:
        raise ClipError("refused_by_policy", f"the server's X-Robots-Tag says {', '.join(sorted(found))}")
