"""etcd's flags, variables and files: every one is read as etcd reads it, or refused in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import yaml

from raftkv.cli.auth_settings import auth_settings
from raftkv.cli.flag import parse_duration
from raftkv.cli.flags import FLAGS
from raftkv.cli.local_plan import command_of, plan
from raftkv.cli.settings import read_settings
from raftkv.errors import ConfigError
from raftkv.server.config import Address
from tests.certificates import Authority

# The flags that users of etcd set, by its documentation.
FLAGS_OF_ETCD = """
    name data-dir wal-dir snapshot-count heartbeat-interval election-timeout listen-peer-urls
    listen-client-urls listen-client-http-urls listen-metrics-urls max-wals quota-backend-bytes
    max-txn-ops max-request-bytes max-concurrent-streams grpc-keepalive-min-time
    grpc-keepalive-interval grpc-keepalive-timeout backend-batch-interval backend-batch-limit
    backend-bbolt-freelist-type socket-reuse-port socket-reuse-address enable-grpc-gateway
    feature-gates memory-mlock max-learners snapshot-catchup-entries initial-advertise-peer-urls
    initial-cluster initial-cluster-state initial-cluster-token advertise-client-urls
    discovery-srv strict-reconfig-check pre-vote auto-compaction-mode auto-compaction-retention
    force-new-cluster unsafe-no-fsync cert-file key-file trusted-ca-file client-cert-auth
    client-cert-file client-key-file client-crl-file client-cert-allowed-hostname
    self-signed-cert-validity tls-max-version peer-client-cert-file peer-client-key-file
    peer-crl-file peer-cert-allowed-hostname peer-skip-client-san-verification
    auto-tls cipher-suites tls-min-version cors host-whitelist peer-cert-file peer-key-file
    peer-trusted-ca-file peer-client-cert-auth peer-auto-tls peer-cert-allowed-cn auth-token
    auth-token-ttl bcrypt-cost logger log-outputs log-level log-format metrics enable-pprof
    corrupt-check-time compaction-batch-limit watch-progress-notify-interval
    warning-apply-duration downgrade-check-time
"""
ETCDS = FLAGS_OF_ETCD.split()


def refused(*arguments: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read_settings(arguments, environment)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", ETCDS)
def test_every_flag_of_etcds_is_known(name: str) -> None:
    """None is a surprise: what is refused says why."""
    assert name in {flag.name for flag in FLAGS}


@pytest.mark.parametrize(
    ("mode", "text", "kept"),
    [
        ("periodic", "0", (0.0, 0)),
        ("periodic", "5", (18_000.0, 0)),
        ("periodic", "30m", (1_800.0, 0)),
        ("revision", "1000", (0.0, 1000)),
    ],
)
def test_retention_is_read_by_its_mode(mode: str, text: str, kept: tuple[float, int]) -> None:
    """A bare number is hours in periodic mode and revisions in the other."""
    flags = [f"--auto-compaction-mode={mode}", f"--auto-compaction-retention={text}"]
    config = read_settings(flags, {})
    assert (config.auto_compaction_period_s, config.auto_compaction_revisions) == kept


def test_retention_that_is_none() -> None:
    """Refused in one line that names the flag."""
    assert "--auto-compaction-retention" in refused("--auto-compaction-retention=5x")
    mode = "--auto-compaction-mode=revision"
    assert "--auto-compaction-retention" in refused(mode, "--auto-compaction-retention=5m")


def test_defaults_are_etcds() -> None:
    """Without any flag: etcd's ports, times and limits."""
    config = read_settings([], {})
    assert config.listen_client == (Address("localhost", 2379),)
    assert config.data_dir == "default.etcd"
    assert (config.heartbeat_interval_ms, config.election_timeout_ms) == (100, 1000)
    assert config.limits.request_bytes_max == 1_572_864
    assert config.initial_cluster == {"default": ("http://localhost:2380",)}


@pytest.mark.parametrize(
    "words",
    [("--name=x",), ("-name=x",), ("--name", "x"), ("-name", "x"), ("--name", "y", "--name=x")],
)
def test_gos_ways_to_write_a_flag(words: tuple[str, ...]) -> None:
    """One dash or two, with = or the next word; the last one counts."""
    assert read_settings(words, {}).name == "x"


@pytest.mark.parametrize(
    ("word", "value"), [("--pre-vote", True), ("--pre-vote=false", False), ("--pre-vote=T", True)]
)
def test_booleans(word: str, value: bool) -> None:
    """Alone a boolean flag is true; a value comes after = only."""
    assert read_settings([word], {}).pre_vote is value


def test_variables_and_what_may_not_be_said_twice() -> None:
    """A variable is as good as a flag; both for one name are refused, as in etcd."""
    assert read_settings([], {"ETCD_SNAPSHOT_COUNT": "7"}).snapshot_count == 7
    text = refused("--name=a", ETCD_NAME="b")
    assert "ETCD_NAME" in text
    assert "--name" in text


def test_an_unknown_variable_only_warns(caplog: pytest.LogCaptureFixture) -> None:
    """Containers pass all kinds of ETCD_ variables."""
    with caplog.at_level(logging.WARNING):
        read_settings([], {"ETCD_VERSION_WANTED": "3"})
    (record,) = caplog.records
    assert record.fields == {"environment-variable": "ETCD_VERSION_WANTED=3"}


def test_a_file_replaces_everything_else(tmp_path: Path) -> None:
    """With --config-file other flags and variables are not looked at; durations are nanoseconds."""
    path = tmp_path / "etcd.yaml"
    path.write_text("name: filed\nwatch-progress-notify-interval: 5000000000\npre-vote: false\n")
    config = read_settings([f"--config-file={path}", "--name=flagged"], {"ETCD_NAME": "varied"})
    assert (config.name, config.pre_vote) == ("filed", False)
    assert config.watch_progress_notify_interval_s == 5.0


def test_tls_of_both_ports(authority: Authority, tmp_path: Path) -> None:
    """From flags, and the same from etcd's sections of a config file."""
    pair = authority.issue("cli-pair")
    files = {"cert-file": str(pair.cert), "key-file": str(pair.key)}
    flags = [f"--{name}={value}" for name, value in files.items()]
    flags += [f"--peer-{name}={value}" for name, value in files.items()]
    flags += [f"--peer-trusted-ca-file={authority.ca}", "--peer-cert-allowed-cn=a,b"]
    urls = {
        "listen-client-urls": "https://localhost:1,unix://run/me:1",
        "advertise-client-urls": "https://localhost:1",
    }
    given = read_settings([*flags, *(f"--{name}={value}" for name, value in urls.items())], {})
    path = tmp_path / "etcd.yaml"
    sections = {
        "client-transport-security": files,
        "peer-transport-security": files
        | {"trusted-ca-file": str(authority.ca), "allowed-cn": ["a", "b"]},
    }
    path.write_text(yaml.safe_dump(urls | sections))
    filed = read_settings([f"--config-file={path}"], {})
    assert (filed.client_tls, filed.peer_tls) == (given.client_tls, given.peer_tls)
    assert given.peer_tls.allowed_names == ("a", "b")
    assert given.peer_tls.verifies_clients
    assert not given.client_tls.verifies_clients
    assert [a.place for a in given.listen_client] == [("localhost", 1), "run/me:1"]
    assert given.listen_client[1].url == "unix://run/me:1"


def test_a_section_with_an_unknown_setting(tmp_path: Path) -> None:
    """Refused with what it may hold."""
    path = tmp_path / "etcd.yaml"
    path.write_text("peer-transport-security: {crt-file: x}\n")
    assert "unknown setting crt-file in peer-transport-security; it may hold" in refused(
        f"--config-file={path}"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nmae=x",), "did you mean --name?"),
        (("stray",), "'stray' is not a valid flag"),
        (("--name",), "needs an argument"),
        (("--snapshot-count=many",), "a whole number is expected"),
        (("--listen-client-urls=http://example.org:1",), "--listen-client-urls"),
        (("--listen-client-urls=http://127.0.0.1:1",), "--advertise-client-urls is required"),
        (("--election-timeout=60000",), "too long"),
        (("--max-txn-ops=0",), "--max-txn-ops must be above 0"),
        (("--initial-cluster=oops",), "name=URL is expected"),
        (("--memory-mlock",), "only 'false' is accepted"),
        (("--config-file=/nowhere",), "cannot read --config-file /nowhere"),
        (("--cert-file=/nowhere", "--key-file=/nowhere"), "cannot read --cert-file /nowhere"),
        (("--peer-key-file=x",), "--peer-key-file and --peer-cert-file must both be present"),
        (("--listen-peer-urls=https://127.0.0.1:1",), "TLS key/cert (--peer-cert-file"),
        (("--listen-peer-urls=unix://x",), "peers are called over http or https only"),
        (("--listen-client-urls=unix://" + "x" * 108,), "at most 107 bytes, not 108"),
        (("--listen-client-urls=ftp://x:1",), "must be http, https, unix, or unixs"),
        (("--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"), "greater than max version"),
        (("--cipher-suites=ROT13",), "unexpected TLS cipher suite 'ROT13'; known are"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], says: str) -> None:
    """One line that says what is wrong, and where there is one, the limit."""
    assert says in refused(*arguments)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("100ms", 0.1), ("1.5s", 1.5)]
)
def test_gos_durations(text: str, seconds: float) -> None:
    """Durations are spelled as Go spells them."""
    assert parse_duration(text) == pytest.approx(seconds)


def test_the_local_plan() -> None:
    """Three members stand where etcd's examples have them; five, or high ports, 10 apart."""
    data = Path("/data")
    assert [p.client_port for p in plan(3, 2379, data)] == [2379, 22379, 32379]
    assert [p.client_port for p in plan(5, 2379, data)] == [2379, 2389, 2399, 2409, 2419]
    assert [p.client_port for p in plan(3, 50_000, data)] == [50_000, 50_010, 50_020]
    with pytest.raises(ConfigError, match="65535"):
        plan(3, 65_530, data)
    places = plan(3, 2379, data)
    config = read_settings(command_of(places[1], places, (), data / "control.sock"), {})
    assert config.name == "m2"
    assert len(config.initial_cluster) == 3


def test_the_http_side_of_the_client_port() -> None:
    """Lists with commas, none of them being all; HTTP may have URLs of its own, or no gateway."""
    plain = read_settings([], {})
    assert (plain.cors, plain.host_whitelist) == (frozenset("*"), frozenset("*"))
    assert (plain.listen_client_http, plain.grpc_gateway) == ((), True)
    flags = [
        "--cors=http://a, http://b",
        "--host-whitelist",
        "etcd.local",
        "--enable-grpc-gateway=false",
        "--listen-client-http-urls=http://127.0.0.1:2381",
    ]
    config = read_settings(flags, {"ETCD_NAME": "default"})
    assert config.cors == {"http://a", "http://b"}
    assert config.host_whitelist == {"etcd.local"}
    assert not config.grpc_gateway
    assert config.listen_client_http == (Address("127.0.0.1", 2381),)
    assert read_settings(["--cors="], {}).cors == {"*"}


def test_auth_flags_say_what_a_login_gets(tmp_path: Path) -> None:
    """Simple tokens by default; jwt with its options, whose keys are read at once; what can be
    neither is refused with a line that names it."""
    settings, keys = auth_settings(read_settings(["--auth-token-ttl=60", "--bcrypt-cost=5"], {}))
    assert keys is None
    assert (settings.signer, settings.token_ttl_s, settings.bcrypt_cost) == (None, 60, 5)
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 64)
    jwt = f"jwt,sign-method=HS256,priv-key={secret},ttl=1m"
    settings, keys = auth_settings(read_settings([f"--auth-token={jwt}"], {}))
    signer = settings.signer
    assert keys is not None
    assert keys.tokens is signer
    assert signer is not None
    assert signer.caller_of(signer.sign("ann", 3)).name == "ann"
    for wrong, says in (
        (["--auth-token=opaque"], "--auth-token must be simple or jwt"),
        (["--auth-token=simple,ttl=3"], "--auth-token must be simple or jwt"),
        (["--auth-token=jwt,sign-method=HS256,priv-key=/nosuch"], "cannot read /nosuch"),
        (["--auth-token-ttl=0"], "--auth-token-ttl must be above 0 s"),
        (["--bcrypt-cost=3"], "--bcrypt-cost must be from 4 to 31"),
        (["--bcrypt-cost=32"], "--bcrypt-cost must be from 4 to 31"),
    ):
        with pytest.raises(ConfigError, match=says):
            auth_settings(read_settings(wrong, {}))
