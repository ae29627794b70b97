"""What is wrong with a TLS setting or file, as one line that names it.

Owns: TlsError. Must never do: more; this package stands alone, as the wire that uses it does.
"""

from __future__ import annotations


class TlsError(Exception):
    """A file or a setting that cannot be used; the text says which, and why."""
