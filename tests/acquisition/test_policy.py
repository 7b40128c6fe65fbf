"""What sites ask of robots: rules for everybody, rules for us by name, and the header against machine learning."""

from __future__ import annotations

import time

import pytest

from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.policy import Robots, check_headers

URL = "https://videos.example:8443/a/b.mp4"
US = "avzsl/1.2 (+https://example.org/about)"


def allowed(rules: str, agent: str = US, url: str = URL) -> bool:
    try:
        Robots(agent).check(url, lambda address: rules.encode())
    except ClipError as error:
        assert error.status == "refused_by_policy"
        assert "videos.example" in str(error)
        return False
    return True


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        ("", True),
        ("User-agent: *\nDisallow: /\n", False),
        ("User-agent: *\nDisallow: /a/\n", False),
        ("User-agent: *\nDisallow: /b/\n", True),
        # Rules for us by name stand above those for everybody, in both directions.
        ("User-agent: *\nAllow: /\n\nUser-agent: avzsl\nDisallow: /\n", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: AVZSL\nDisallow: /b/\n", True),
        ("User-agent: otherbot\nDisallow: /\n", True),
    ],
)
def test_rules_of_a_host(rules, answer):
    assert allowed(rules) == answer


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        # Wildcards, an end, and a query (RFC 9309, 2.2.3).
        ("User-agent: *\nDisallow: /*.mp4$\n", False),
        ("User-agent: *\nDisallow: /*.webm$\n", True),
        ("User-agent: *\nDisallow: /*/b\n", False),
        ("User-agent: *\nDisallow: /*?sig=\n", True),
        # The longest rule counts, whatever its place, and of two as long the one that allows (2.2.2).
        ("User-agent: *\nDisallow: /a/\nAllow: /a/b\n", True),
        ("User-agent: *\nAllow: /\nDisallow: /a/\n", False),
        ("User-agent: *\nDisallow: /a/\nAllow: /a/\n", True),
        # A group may be of several agents, and an agent have several groups; other lines part nothing (2.2.1).
        ("User-agent: other\nUser-agent: avzsl\nDisallow: /\n", False),
        ("User-agent: other\nCrawl-delay: 9\nUser-agent: avzsl\nDisallow: /\n", False),
        ("User-agent: avzsl\nDisallow: /b\n\nUser-agent: avzsl\nDisallow: /a\n", False),
        ("User-agent: avzsl\n\nDisallow: /\n", False),
        ("\ufeffUser-agent: *\nDisallow: /\n", False),
        ("User-agent: *\nDisallow: /%61/\n", False),
        ("Disallow: /\n", True),
        ("<html>\nnot: rules\n:::\n\0", True),
    ],
)
def test_files_as_they_are_written(rules, answer):
    assert allowed(rules) == answer


def test_a_rule_that_is_made_to_take_long_does_not():
    started = time.process_time()
    assert allowed(f"User-agent: *\nDisallow: /{'*a' * 60}b$\n", url=f"https://videos.example/{'a' * 2000}")
    assert time.process_time() - started < 5


def test_the_agents_name_is_what_stands_before_its_version():
    rules = "User-agent: mybot\nDisallow: /\n"
    for agent in ("mybot/2", "mybot 2", " mybot"):
        assert not allowed(rules, agent)
    assert allowed(rules, "avzsl/1")
    assert not allowed("User-agent: *\nDisallow: /\n", "")


def test_rules_are_read_once_a_host_and_each_host_has_its_own():
    asked = []

    def load(address: str) -> bytes:
        asked.append(address)
        return b"User-agent: *\nDisallow: /x\n" if "one" in address else b""

    robots = Robots(US)
    for url in ("https://one.example/a", "https://one.example/b", "https://two.example/x", "http://one.example/a"):
        robots.check(url, load)
    with pytest.raises(ClipError, match=r"one\.example forbids"):
        robots.check("https://one.example/x", load)
    assert asked == [
        f"{host}/robots.txt" for host in ("https://one.example", "https://two.example", "http://one.example")
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, None), ("", None), ("noindex, nofollow", None), ("noai", "noai"), ("NoAI, noimageai", "noai, noimageai"),
        ("otherbot: noai", "noai"), ("noindex,noimageai", "noimageai"),
    ],
)  # fmt: skip
def test_the_header_against_machine_learning(value, words):
    class Answer:
        def get_header(self, name: str) -> str | None:
            return value if name == "X-Robots-Tag" else None

    if words is None:
        check_headers(Answer())
        return
    with pytest.raises(ClipError, match=f"X-Robots-Tag says {words}$") as caught:
        check_headers(Answer())
    assert caught.value.status == "refused_by_policy"
