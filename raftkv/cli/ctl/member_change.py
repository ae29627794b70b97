"""What `raftkv ctl member` can ask of raftkv and not of etcd: a dry run, a change by force.

Owns: the options, and the looks of a dry run. Must never do: judge; the leader has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from raftkv.api.membership_pb2 import MembershipRequest, MembershipResponse, Quorum
from raftkv.cli.ctl.failure import ERROR, Failure
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.output import show
from raftkv.cli.ctl.verb import Settings

F = TypeVar("F", bound=Callable[..., Any])


def change_options(command: F) -> F:
    """--dry-run and --unsafe."""
    dry_run = click.option("--dry-run", is_flag=True, help="only tell what the leader says of it")
    unsafe = click.option(
        "--unsafe", is_flag=True, help="even if it costs the quorum, or the URL is another's"
    )
    return dry_run(unsafe(command))


def show_review(settings: Settings, request: MembershipRequest) -> None:
    """Raises Failure, after it has told why, for what would be refused."""
    review = settings.run(lambda client: client.cluster.review(request))
    lines = list(review_lines(review))
    show(settings, simple=lambda: lines, json=lambda: shape_of(review))
    if review.refusal:
        raise Failure(f"the change would be refused: {review.refusal}", ERROR)


def review_lines(review: MembershipResponse) -> Iterator[str]:
    names = {row.ID: row.name or f"{row.ID:x}" for row in review.members} | {0: "(the new one)"}
    yield f"now:  {_told(review.before, names)}"
    yield f"then: {_told(review.after, names)}"
    yield from review.notes
    if not review.refusal:
        yield "the change would be made"


def _told(quorum: Quorum, names: dict[int, str]) -> str:
    voters = [names.get(one, f"{one:x}") for one in quorum.voters]
    silent = [
        names.get(one, f"{one:x}") for one in quorum.voters if one not in set(quorum.reachable)
    ]
    away = f", without an answer: {' '.join(silent)}" if silent else ""
    return (
        f"{len(voters)} voters ({' '.join(voters)}), quorum {quorum.needed}, "
        f"{len(quorum.reachable)} answer{away}"
    )
