"""What a question to a peer URL found.

Owns: Finding. Must never do: know what a member's answer means; ``server.peer_answer`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """``status`` is HTTP's, 0 without an answer in HTTP: then ``strange`` says what else there is,
    or, when nobody is there, ``silence`` how that was found out. Header names are in lower case."""

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    strange: str = ""
    silence: str = "nothing answers"
