"""The names that a workload's clients use.

Owns: Keys, a few keys under one prefix so that clients collide, and Values, which never repeat.
Must never do: draw from any chance but the Random it is given.
"""

from __future__ import annotations

from random import Random

from jepsen_like.history.ranges import ALL_FROM_KEY, prefix_end


class Keys:
    """``prefix`` + 0 .. ``count`` - 1, one digit each, so that their order is the numbers'."""

    def __init__(self, prefix: str, count: int) -> None:
        if not 1 <= count <= 10:
            raise ValueError(f"{count} keys; 1 to 10 have one digit")
        self.prefix = prefix
        self.names = tuple(f"{prefix}{number}" for number in range(count))

    @property
    def whole(self) -> tuple[str, str]:
        return self.prefix, prefix_end(self.prefix)

    def one(self, random: Random) -> str:
        return random.choice(self.names)

    def several(self, random: Random, most: int) -> list[str]:
        """1 to ``most`` different keys."""
        return random.sample(self.names, random.randint(1, min(most, len(self.names))))

    def span(self, random: Random) -> tuple[str, str]:
        """A range of at least one key that stays under the prefix."""
        first, last = sorted((self.one(random), self.one(random)))
        return first, prefix_end(last)

    def any_range(self, random: Random) -> tuple[str, str]:
        """A span, the whole prefix, or everything from a key on."""
        kind = random.random()
        if kind < 0.6:
            return self.span(random)
        return self.whole if kind < 0.8 else (self.one(random), ALL_FROM_KEY)


class Values:
    """ "p3.17" is the 17th value of process 3: who reads it knows whose write it saw."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._count = 0

    def unique(self) -> str:
        self._count += 1
        return f"p{self._process}.{self._count}"
