"""`raftkv ctl certs`: certificates by one command, renewed, shown, and moved to a new CA.

Owns: the options, the looks, and the words about what to do with the files. Must never do: make a
certificate itself (``raftkv.tls.certificate_directory`` does), or talk to a cluster.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raftkv.cli.ctl.output import WIDE
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.cli.serve_command import serve_command
from raftkv.errors import ConfigError
from raftkv.tls.certificate_directory import CertificateDirectory, Lives, describe
from raftkv.tls.errors import TlsError

_OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("certs"),
    show_default=True,
    help="the directory of the certificates",
)
_DAYS = click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    default=365,
    show_default=True,
    help="how long a certificate is good",
)
_CA_DAYS = click.option(
    "--ca-days",
    type=click.IntRange(1, 36_500),
    default=3650,
    show_default=True,
    help="how long an authority is good",
)

ROTATION = {
    "start": """\
Each ca.pem and peer-ca.pem now holds the old authority and the new one.
  1. Copy members/NAME to each member and clients/NAME to each client. Nothing is restarted: members
     take changed files by themselves within 5 s; the metric raftkv_tls_reloads_total shows it.
  2. When all of them have the new bundles: raftkv ctl certs rotate-ca issue --out {out}""",
    "issue": """\
All certificates are now signed by the new authority, which everybody trusts by now.
  3. Copy members/NAME to each member and clients/NAME to each client again; clients that keep their
     connections for ever are to read their files anew.
  4. When all of them have the new certificates: raftkv ctl certs rotate-ca finish --out {out}""",
    "finish": """\
The old authority is out of every bundle, and its key is gone.
  5. Copy members/NAME to each member and clients/NAME to each client a last time. Members then end
     the connections of whoever still shows a certificate of the old one, each after its calls.""",
}


@click.group("certs", cls=Noun)
def certs() -> None:
    """Certificates for TLS: made, renewed, shown, and moved to a new CA."""


@certs.command("create")
@click.option("--hosts", required=True, help="members: m1=10.0.0.1,m2=10.0.0.2; a name may recur")
@click.option("--client", "clients", multiple=True, default=("root",), help="a client's name")
@_OUT
@_DAYS
@_CA_DAYS
@click.option("--install-dir", default="", help="where members/NAME will be on the hosts")
def create(
    hosts: str, clients: Sequence[str], out: Path, days: int, ca_days: int, install_dir: str
) -> None:
    """Make a CA for clients, one for members, and a certificate for everybody.

    Run again with other names for members and clients that come later; nothing is overwritten."""
    with _failures():
        members = parse_hosts(hosts)
        directory = CertificateDirectory(out.absolute())
        if (out / "members").exists() and clients == ("root",):
            clients = ()  # only the members are new
        lives = Lives(timedelta(days=ca_days), timedelta(days=days))
        for place in directory.create(members, clients, lives):
            click.echo(f"made {place}")
    click.echo(
        f"\nKeep {out}/authority where no member and no client is. Copy each of the others to"
    )
    click.echo("its host, readable by its user alone. The members start with:\n")
    for name in members:
        place = Path(install_dir or out.absolute() / "members" / name)
        click.echo(serve_command(name, members, place) + "\n")
    for name in clients:
        place, host = out.absolute() / "clients" / name, next(iter(members.values()))[0]
        click.echo(
            f"etcdctl --endpoints https://{_bracketed(host)}:2379 --cacert {place}/ca.pem "
            f"--cert {place}/client.pem --key {place}/client-key.pem endpoint health"
        )


@certs.command("renew")
@_OUT
@_DAYS
@click.option("--within", default=30, show_default=True, help="those that end in so many days")
@click.option("--all", "everything", is_flag=True, help="also those that are good for longer")
def renew(out: Path, days: int, within: int, everything: bool) -> None:
    """Make certificates that end soon anew, with new keys and the names they have."""
    with _failures():
        span = timedelta(days=365 * 1000 if everything else within)
        found = CertificateDirectory(_existing(out)).renew(span, timedelta(days=days))
        for leaf in found:
            click.echo(f"renewed {leaf.path}")
    told = "Copy them to their hosts; nothing is restarted." if found else "None of them ends soon."
    click.echo(told)


@certs.command("rotate-ca")
@click.argument("step", type=click.Choice(["start", "issue", "finish"]))
@_OUT
@_DAYS
@_CA_DAYS
def rotate_ca(step: str, out: Path, days: int, ca_days: int) -> None:
    """Move to new authorities without a restart, in three steps: start, issue, finish.

    Between them the files are copied to their hosts, so that nobody meets a certificate whose CA it
    does not trust yet; each step says what is to be done before the next one."""
    with _failures():
        directory = CertificateDirectory(_existing(out))
        if step == "start":
            directory.start_rotation(timedelta(days=ca_days))
        elif step == "issue":
            for leaf in directory.issue_rotated(timedelta(days=days)):
                click.echo(f"renewed {leaf.path}")
        else:
            directory.finish_rotation()
    click.echo(ROTATION[step].format(out=out))


@certs.command("show")
@click.argument("paths", type=click.Path(exists=True, path_type=Path), nargs=-1)
@click.option("--soon", default=30, show_default=True, help="in red: what ends in so many days")
@pass_settings
def show(settings: Settings, paths: Sequence[Path], soon: int) -> None:
    """What certificates say: those in PATHS, files or directories; `certs` without any."""
    with _failures():
        rows = [
            _row(*found) for path in paths or (_existing(Path("certs")),) for found in _read(path)
        ]
    if settings.format == "json":
        click.echo(json.dumps(rows))
        return
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(table_of_rows(rows, soon))


def table_of_rows(rows: Sequence[dict[str, object]], soon: int) -> Table:
    """In red what ends in less than ``soon`` days."""
    table = Table("FILE", "SUBJECT", "FOR", "ISSUER", "ENDS", "DAYS LEFT", box=box.ASCII2)
    for row in rows:
        style = "red" if int(str(row["days_left"])) < soon else ""
        cells = (Text(str(cell), overflow="fold") for cell in row.values())
        table.add_row(*cells, style=style)
    return table


def parse_hosts(text: str) -> dict[str, list[str]]:
    """name=host,name=host; a name may stand several times. Raises ConfigError."""
    members: dict[str, list[str]] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, host = pair.partition("=")
        if not (name and equals and host) or "/" in host:
            raise ConfigError(f"--hosts: {pair!r}: name=host is expected, as in m1=10.0.0.1")
        members.setdefault(name, []).append(host)
    if not members:
        raise ConfigError("--hosts: at least one name=host is expected, as in m1=10.0.0.1")
    return members


def _read(path: Path) -> Iterator[tuple[Path, x509.Certificate]]:
    files = sorted(path.rglob("*.pem")) if path.is_dir() else [path]
    for file in files:
        if path.is_dir() and file.stem.endswith("-key"):
            continue
        try:
            found = x509.load_pem_x509_certificates(file.read_bytes())
        except ValueError as e:
            raise TlsError(f"{file} holds no certificate: {e}") from None
        for certificate in found:
            yield file, certificate


def _row(file: Path, certificate: x509.Certificate) -> dict[str, object]:
    subject, names, issuer = describe(certificate)
    ends = certificate.not_valid_after_utc
    return {
        "file": str(file),
        "subject": subject,
        "names": names,
        "issuer": "itself" if certificate.issuer == certificate.subject else issuer,
        "ends": f"{ends:%Y-%m-%d}",
        "days_left": (ends - datetime.now(UTC)).days,
    }


def _existing(out: Path) -> Path:
    if not out.is_dir():
        raise TlsError(
            f"{out} is no directory: make it with `raftkv ctl certs create`, or say --out"
        )
    return out.absolute()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def _failures() -> Iterator[None]:
    """Statuses are the `raftkv` command's: 2 for what was asked wrongly, 1 for a failure."""
    try:
        yield
    except (ConfigError, TlsError, OSError) as e:
        click.echo(f"raftkv ctl certs: {e}", err=True)
        sys.exit(2 if isinstance(e, ConfigError) else 1)
