"""The page itself: HTML, CSS and scripts, as the package has them.

Owns: the files in memory, their types and etags, and the content security policy. Must never do:
touch the disk after the start, or serve a path that is no file's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from raftkv.wire.service import HttpResponse

INDEX = "index.html"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "json": "application/json",
    "woff2": "font/woff2",
}


def page_directory() -> Traversable:
    return files("raftkv.ui") / "page"


class PageFiles:
    """The files of one directory whose types are known."""

    def __init__(self, directory: Traversable) -> None:
        self._files: dict[str, HttpResponse] = {}
        entries = directory.iterdir() if directory.is_dir() else ()
        for entry in entries:
            kind = _TYPES.get(entry.name.rpartition(".")[2])
            if kind is not None and entry.is_file():
                body = entry.read_bytes()
                etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                headers = {"etag": etag, "cache-control": "no-cache"}
                self._files[entry.name] = HttpResponse(200, body, kind, headers)

    def get(
        self, name: str, headers: Mapping[str, str], elsewhere: Iterable[str]
    ) -> HttpResponse | None:
        """None for what is not there. ``elsewhere``: the other origins that scripts may ask."""
        found = self._files.get(name)
        if found is None:
            return None
        connect = " ".join(["'self'", *sorted(elsewhere)])
        policy = (
            f"default-src 'self'; connect-src {connect}; base-uri 'none'; "
            "form-action 'self'; frame-ancestors 'none'"
        )
        with_policy = {**found.headers, "content-security-policy": policy}
        if headers.get("if-none-match") == found.headers["etag"]:
            return HttpResponse(304, b"", found.content_type, with_policy)
        return HttpResponse(200, found.body, found.content_type, with_policy)
