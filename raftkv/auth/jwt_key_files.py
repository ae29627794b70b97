"""Keys of signed tokens that follow their files without a restart.

Owns: noticing that a file has changed, and the judgement whether what it holds now can be used.
Must never do: drop keys that work for what does not: a bad or half-written file is one line in the
log, and the next change is tried again, as with certificates (``raftkv.tls.credentials``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftkv.auth.jwt_keys import JwtKeys, JwtOptions, load_keys
from raftkv.errors import ConfigError
from raftkv.file_stamp import Stamp, stamp_of
from raftkv.log_fields import fields

_log = logging.getLogger(__name__)


class JwtKeyFiles:
    """Made before the keys are read for the first time: a change since then is seen."""

    def __init__(self, options: JwtOptions, read_file: Callable[[str], bytes]) -> None:
        self._options = options
        self._read_file = read_file
        self._paths = [path for path in (options.public_path, options.private_path) if path]
        # The last state of the files that was tried, good or bad.
        self._tried: Stamp = stamp_of(self._paths)
        self.reloads = 0
        self.failures = 0

    def check(self) -> JwtKeys | None:
        """The keys, if the files have changed and can be used."""
        stamp = stamp_of(self._paths)
        if stamp == self._tried:
            return None
        self._tried = stamp
        try:
            keys = load_keys(self._options, self._read_file)
        except ConfigError as e:
            self.failures += 1
            told = fields(error=str(e))
            _log.error("keys of tokens cannot be loaded, the old ones stay in use", extra=told)
            return None
        if stamp_of(self._paths) != stamp:
            self._tried = ()  # somebody is writing: what was read may be of two states
            return None
        self.reloads += 1
        _log.info("keys of tokens loaded anew", extra=fields(files=self._paths))
        return keys
