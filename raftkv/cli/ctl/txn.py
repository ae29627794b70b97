"""txn: compares and requests from stdin, interactive or piped.

Owns: reading it and showing what came of it. Must never do: parse a line; ``txn_grammar`` does.
"""

from __future__ import annotations

import sys

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl import fields
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import delete_simple, put_simple, range_simple
from raftkv.cli.ctl.output import Lines, show
from raftkv.cli.ctl.txn_grammar import parse_txn
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import Txn

_SECTIONS = (
    "compares:", "success requests (get, put, del):", "failure requests (get, put, del):",
)  # fmt: skip


@click.command("txn", cls=Verb)
@click.option("-i", "--interactive", is_flag=True, help="say what is expected next")
@pass_settings
def txn(settings: Settings, interactive: bool) -> None:
    """Do all requests of one section on stdin at once, if all compares hold, else the other's."""

    def begin(number: int) -> None:
        if interactive:
            click.echo(_SECTIONS[number])

    lines = (line.decode("utf-8", "surrogateescape") for line in sys.stdin.buffer)
    request = parse_txn(lines, begin)
    response = settings.run(lambda client: client.txn(Txn(request)))
    show(
        settings,
        simple=lambda: _simple(settings, response),
        fields=lambda: fields.txn_lines(response),
        json=lambda: shape_of(response),
    )


def _simple(settings: Settings, response: api.TxnResponse) -> Lines:
    yield "SUCCESS" if response.succeeded else "FAILURE"
    for each in response.responses:
        yield ""
        match each.WhichOneof("response"):
            case "response_range":
                yield from range_simple(settings, each.response_range)
            case "response_put":
                yield from put_simple(settings, each.response_put)
            case "response_delete_range":
                yield from delete_simple(settings, each.response_delete_range)
