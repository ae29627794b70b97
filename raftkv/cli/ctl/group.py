"""`raftkv ctl`: a client for a running cluster, for machines without etcdctl.

Owns: the group, and which verbs there are. Must never do: work of a verb.
"""

from __future__ import annotations

import click

from raftkv import ETCD_VERSION
from raftkv.cli.completion import SHELLS, script_for
from raftkv.cli.ctl.backup import backup
from raftkv.cli.ctl.certs import certs
from raftkv.cli.ctl.downgrade import downgrade
from raftkv.cli.ctl.endpoint import endpoint
from raftkv.cli.ctl.history import diff, history
from raftkv.cli.ctl.key import compaction, delete, get, put
from raftkv.cli.ctl.lease import lease
from raftkv.cli.ctl.lock import elect, lock
from raftkv.cli.ctl.maintenance import alarm, defrag, move_leader
from raftkv.cli.ctl.member import member
from raftkv.cli.ctl.moving import import_group
from raftkv.cli.ctl.quota import quota
from raftkv.cli.ctl.role import role
from raftkv.cli.ctl.snapshot import snapshot
from raftkv.cli.ctl.top import top
from raftkv.cli.ctl.txn import txn
from raftkv.cli.ctl.usage import usage
from raftkv.cli.ctl.user import auth, user
from raftkv.cli.ctl.verb import Noun, Settings, Verb, take_variables
from raftkv.cli.ctl.watch import watch
from raftkv.cli.ctl.who import who


class _Ctl(Noun):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = Settings()
        take_variables(ctx)
        return super().parse_args(ctx, args)


@click.group("ctl", cls=_Ctl)
def ctl() -> None:
    """Work on a running cluster, and on its snapshots: etcdctl's verbs, options and formats, and
    history, diff, usage, quota, top and who."""


@click.command("version", cls=Verb)
def version() -> None:
    """The versions of this program and of the API."""
    click.echo(f"etcdctl version: {ETCD_VERSION}")
    click.echo(f"API version: {ETCD_VERSION.rpartition('.')[0]}")


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """The same as `raftkv completion`."""
    click.echo(script_for(shell, click.get_current_context().find_root().command))


for _command in (
    get, put, delete, txn, watch, compaction, lease, lock, elect, member, endpoint, alarm, defrag,
    downgrade, move_leader, snapshot, backup, import_group, auth, user, role, history, diff, usage,
    quota, top, who, certs, version, completion,
):  # fmt: skip
    ctl.add_command(_command)
