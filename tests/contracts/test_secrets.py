"""What counts as a secret, and how it is found again however it is spelled."""

from __future__ import annotations

import base64
import subprocess
import sys
from urllib.parse import quote

import pytest
import requests
from pydantic import ValidationError

from avzsl.config.features import WeightsConfig
from avzsl.config.splits import ListsConfig
from avzsl.contracts import secrets
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.secrets import (
    filled,
    hide,
    hide_address,
    masked,
    place_of,
    remember,
    remember_address,
    remember_header,
    remember_words,
)
from avzsl.runtime.redirects import guard
from splits.files import RemoteFile


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", frozenset())
    monkeypatch.setattr(secrets, "_pattern", None)


@pytest.mark.parametrize("spelled", ["a b/C+1", quote("a b/C+1", safe=""), "A B/c+1", "a+b%2FC%2B1", "xa b/C+1x"])
def test_a_secret_is_found_however_it_is_spelled(spelled: str) -> None:
    remember("a b/C+1")
    assert "**********" in hide(spelled) and "C+1" not in hide(spelled)


def test_of_an_address_user_password_and_query_are_secret() -> None:
    remember_address("https://Some1:pa%20ss@host.example/p?key=V4lue&id={source_id}&on=1&sign")
    said = f"Some1 pa ss pa%20ss V4lue sign host.example {base64.b64encode(b'Some1:pa ss').decode()} id on 1"
    assert hide(said) == f"{' '.join(['**********'] * 5)} host.example ********** id on 1"


def test_what_a_catalogue_says_of_a_clip_is_no_secret_and_its_signature_is_not_kept() -> None:
    url = "https://host.example/watch?v=abcdefghij-&sig=0123456789"
    assert hide_address("abcdefghij- 0123456789", url, ("abcdefghij-",)) == "abcdefghij- **********"
    assert hide_address("as it was", "https://host.example/a.mp4", ()) == "as it was"
    assert secrets._known == frozenset(), "a million signed addresses would be a million secrets to look for"


def test_of_a_header_its_words_are_secret() -> None:
    remember_header("Bearer abcdefgh1234")
    remember_header("Basic " + base64.b64encode(b"somebody:pass phrase").decode())
    remember_header("session=0123456789; lang=en-us")
    assert hide("abcdefgh1234 pass phrase somebody 0123456789 en-us Bearer") == (
        "********** ********** ********** ********** en-us Bearer"
    )
    remember_words("en", "yes", "long-enough")
    assert hide("yes, in english: long-enough") == "yes, in english: **********"


def test_variables_are_filled_in_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVZSL_TEST_KEY", "t0p-s3cret")
    assert filled("https://h/?k=$AVZSL_TEST_KEY&l=${AVZSL_TEST_KEY}") == "https://h/?k=t0p-s3cret&l=t0p-s3cret"
    assert hide("it was T0P-S3CRET") == "it was **********"
    with pytest.raises(ConfigError, match="the environment variable AVZSL_TEST_NONE, which"):
        filled("https://h/a?k=$AVZSL_TEST_NONE")


@pytest.mark.parametrize("url", ["https://u:p@h/w.pt", "https://h/w.pt?token=abc", "https://u@h/w", "https://h/w?abc"])
def test_addresses_that_stand_in_records_hold_no_secret(url: str) -> None:
    for make in (lambda: WeightsConfig(url=url), lambda: ListsConfig(url=url), lambda: RemoteFile(urls=(url,))):
        with pytest.raises(ValidationError, match="put them into an environment variable"):
            make()


@pytest.mark.parametrize("url", ["https://h/w.pt", "https://$LOGIN@h/w?token=$KEY", "https://h/w?download=1&raw=true"])
def test_variables_and_switches_may_stand_there(url: str) -> None:
    assert WeightsConfig(url=url).url == url == masked(url)


def test_an_address_that_is_none_is_shown_without_its_secrets() -> None:
    assert place_of("https://u:pa55@host:port/a?k=v4lue") == "https://**********@host:port/a?k=**********"
    assert place_of("https://u:pa55@host:80/a?k=v4lue") == "https://host:80/a"


@pytest.mark.parametrize(
    ("there", "kept"),
    [("https://h.example/b", True), ("http://h.example/b", False), ("https://h.example:444/b", False)],
)
def test_secret_headers_stay_with_host_scheme_and_port(there: str, kept: bool) -> None:
    answer, onward = requests.Response(), requests.PreparedRequest()
    answer.request = requests.PreparedRequest()
    answer.request.prepare("GET", "https://h.example/a")
    onward.prepare("GET", there, {"X-Api-Key": "s3cret", "Range": "bytes=0-"})
    with requests.Session() as session:
        guard(session, private=True).rebuild_auth(onward, answer)
    assert ("X-Api-Key" in onward.headers) == kept and "Range" in onward.headers


@pytest.mark.parametrize(
    "raised", ["raise ValueError(s)", "import threading; threading.Thread(target=lambda: 1 / len(s[99:])).start()"]
)
def test_what_nobody_catches_is_printed_without_secrets(raised: str) -> None:
    code = (
        "from avzsl.contracts.secrets import remember; from avzsl.runtime.jobs import setup_logging\n"
        f"setup_logging(); s = 't0p-s3cret'; remember(s)\n{raised}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Error" in done.stderr and "t0p" not in done.stderr, done.stderr
