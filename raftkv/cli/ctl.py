"""`raftkv ctl`: a client for a running cluster, for machines without etcdctl.

Owns: the group and what all its commands share. Must never do: work of a command.
"""

from __future__ import annotations

import click

from raftkv.cli.snapshot import snapshot


@click.group()
def ctl() -> None:
    """Work on a running cluster, and on its snapshots."""


ctl.add_command(snapshot)
