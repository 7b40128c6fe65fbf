"""A make-believe GPU: torch.cuda writes down what it is asked, and what is sent to a card stays on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

CARD = torch.device("cuda", 1)


class Calls(list[str]):
    """What was asked, in its order, and what the driver answers."""

    pinned: int = 0  # cudaHostRegister's code


class Generator(torch.Generator):
    """On the CPU, whatever device is named: no mode sees who makes a generator."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        return super().__new__(cls)


class OnTheCpu(TorchFunctionMode):
    """Whoever names a GPU gets the CPU, while devices keep their name."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        def there(value: Any) -> Any:
            return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value

        return func(*map(there, args), **{name: there(value) for name, value in (kwargs or {}).items()})


def make_believe(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return what a torch.cuda of two cards is asked from here on."""
    calls = Calls()

    class Stream:
        def __init__(self, device: torch.device | None = None) -> None:
            calls.append("stream")

        def wait_stream(self, other: Any) -> None:
            calls.append("wait")

    class Event:
        def record(self, stream: Any = None) -> None:
            calls.append("record")

        def synchronize(self) -> None:
            calls.append("synchronize event")

    class Graph:
        def replay(self) -> None:
            calls.append("replay")

    def block(name: str) -> Callable[..., Any]:
        @contextlib.contextmanager
        def entered(*given: Any, **named: Any) -> Iterator[None]:
            calls.append(" ".join([name, *map(str, named.values())]))
            yield
            calls.append(f"end of {name}")

        return entered

    def said(name: str, value: Any = None) -> Callable[..., Any]:
        def function(*given: Any) -> Any:
            calls.append(name)
            return value

        return function

    main = Stream()
    calls.clear()
    driver = SimpleNamespace(
        cudaHostRegister=lambda *given: calls.append("register") or calls.pinned,  # type: ignore[func-returns-value]
        cudaHostUnregister=said("unregister"),
    )
    state = torch.arange(16, dtype=torch.uint8)
    for name, value in {
        "Stream": Stream, "Event": Event, "CUDAGraph": Graph, "current_stream": lambda device=None: main,
        "stream": block("in stream"), "graph": block("capture"), "device": block("on card"),
        "synchronize": said("finish"), "empty_cache": said("forget"), "is_available": lambda: True,
        "device_count": lambda: 2, "current_device": lambda: 1, "cudart": lambda: driver,
        "get_device_name": lambda device: "a make-believe card", "is_bf16_supported": lambda including_emulation: True,
        "get_device_properties": lambda number: SimpleNamespace(uuid=f"GPU-{number}"),
        "mem_get_info": lambda device: (10 << 30, 80 << 30), "memory_reserved": lambda device: 5 << 30,
        "memory_allocated": lambda device: 2 << 30, "max_memory_allocated": lambda device: 6 << 30,
        "reset_peak_memory_stats": said("reset peak"), "get_rng_state": lambda device: state,
        "set_rng_state": lambda given, device: calls.append(f"random {int(given.sum())} on {device}"),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "Generator", Generator)
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, map_location, **named: load(path, map_location="cpu", **named))
    return calls
