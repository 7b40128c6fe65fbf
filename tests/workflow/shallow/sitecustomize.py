"""Python reads this file at its start where a test puts its folder on the path: CLIP and CLAP one layer deep, and no network.

Whatever asks for an address beyond this machine fails, and stands in the file that the variable ASKED names.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

# Module -> class -> the last arguments of its __init__ that are taken where none are given.
DEPTHS = {
    "avzsl.pretrained.clip": {"PictureEncoder": (1,), "TextEncoder": (1,)},
    "avzsl.pretrained.clap": {"SoundEncoder": ((1, 1, 1, 1),)},
    "avzsl.pretrained.clap_text": {"WavCapsText": (1,)},
}


class Shallow(importlib.abc.MetaPathFinder):
    """Changes the depths of networks once their module is there."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name in DEPTHS else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def changed(module: ModuleType) -> None:
                execute(module)
                for kind, defaults in DEPTHS[name].items():
                    getattr(module, kind).__init__.__defaults__ = defaults

            spec.loader.exec_module = changed  # type: ignore[method-assign]
        return spec


def refuse(what: str) -> None:
    with Path(os.environ["ASKED"]).open("a", encoding="utf-8") as stream:
        stream.write(f"{sys.argv}: {what}\n")
    raise OSError(f"no network here: {what}")


class Local(socket.socket):
    """A socket that reaches processes of this machine alone."""

    def connect(self, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            refuse(str(address))
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        if self.family != getattr(socket, "AF_UNIX", None):
            refuse(str(address))
        return super().connect_ex(address)


sys.meta_path.insert(0, Shallow())
if os.environ.get("ASKED"):
    socket.socket = Local  # type: ignore[misc]
    socket.getaddrinfo = lambda host, *_, **__: refuse(str(host))  # type: ignore[assignment, return-value]
