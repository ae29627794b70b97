"""`raftkv ctl`: a client for a running cluster, for machines without etcdctl.

Owns: the group and what all its commands share. Must never do: work of a command.
"""

from __future__ import annotations

import sys

import click

from raftkv.cli.connection import connect, connection_options
from raftkv.cli.snapshot import snapshot
from raftkv.errors import ConfigError


@click.group()
@connection_options
@click.pass_context
def ctl(context: click.Context, /, **options: str | bool) -> None:
    """Work on a running cluster, and on its snapshots."""
    try:
        context.obj = connect(**options)  # type: ignore[arg-type]
    except ConfigError as e:
        click.echo(f"raftkv ctl: {e}", err=True)
        sys.exit(2)


ctl.add_command(snapshot)
