"""The kubelet's rules: back-off, probes, addresses, variables, images, logs, static pods."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import aiohttp
import pytest

from apiserver_shim.components.api_client import ApiClient
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.kubelet.addresses import AddressesExhausted, PodAddresses
from apiserver_shim.components.kubelet.back_off import BackOff
from apiserver_shim.components.kubelet.container_log import (
    PIECE_BYTES_MAX,
    ContainerLog,
    LogOptions,
    shown,
)
from apiserver_shim.components.kubelet.environment import (
    ConfigurationError,
    expanded,
    field_of,
)
from apiserver_shim.components.kubelet.images import Images, UnknownImage
from apiserver_shim.components.kubelet.node import taint_of
from apiserver_shim.components.kubelet.pod_status import qos_class
from apiserver_shim.components.kubelet.probes import (
    Checked,
    ProbeTarget,
    ProbeTimes,
    Tally,
    check_of,
    probe,
)
from apiserver_shim.components.kubelet.static_pods import (
    BadManifest,
    StaticPods,
    mirror_of,
    mirrored,
    pods_of,
)
from apiserver_shim.components.kubelet.volumes import prepare
from apiserver_shim.components.kubelet.web_image import WebServer
from apiserver_shim.components.process_groups import ProcessGroups
from tests.shim.virtual_clock import VirtualClock

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "default", "uid": "u1", "labels": {"app": "web"}},
    "spec": {"nodeName": "n1", "containers": []},
    "status": {"podIP": "127.64.0.1", "hostIP": "127.0.0.1"},
}


def test_back_off_is_a_real_kubelets() -> None:
    """At once, 10 s, 20 s ... 300 s; from the start again after ten minutes in peace."""
    back_off, now, waits = BackOff(), 100.0, []
    for _ in range(8):
        waits.append(back_off.wait_s(now, now))
        now += waits[-1]
        back_off.restarted(now)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert back_off.wait_s(now + 5, now + 65) == 240
    assert back_off.wait_s(now + 601, now + 601) == 0


def test_a_verdict_takes_answers_in_a_row() -> None:
    """failureThreshold and successThreshold count anew after each other answer."""
    tally = Tally(ProbeTimes(successes=2, failures=3))
    verdicts = []
    for ok in (True, True, False, False, True, False, False, False, True, True):
        tally.add(ok)
        verdicts.append(tally.verdict)
    assert verdicts == [None, True, True, True, True, True, True, False, False, True]


async def test_probes_keep_their_times() -> None:
    """First after the initial delay, then each period, until enough."""
    clock, asked = VirtualClock(), []

    async def check() -> Checked:
        asked.append(clock.seconds)
        return Checked(len(asked) < 3)

    times = ProbeTimes(initial_delay_s=5, period_s=7, failures=2)
    probing = asyncio.create_task(
        probe(check, times, clock.clock.pause, lambda _, verdict: verdict is False)
    )
    while not probing.done():
        if clock.paused:
            clock.advance(1)
        await asyncio.sleep(0)
    assert asked == [5, 12, 19, 26]


async def test_probes_by_network_say_what_a_real_kubelet_says(tmp_path: Path) -> None:
    """A port that listens is good for tcpSocket, by number or name; one that does not, and a name
    that no port has, are told."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = ProbeTarget("127.0.0.1", {"web": port}, {}, tmp_path, ProcessGroups())
    async with aiohttp.ClientSession() as http:
        for wanted in (port, "web", str(port)):
            assert (await check_of({"tcpSocket": {"port": wanted}}, target, http)()).ok, wanted
        unknown = Checked(False, "the container has no port named 'db'")
        for kind in ("tcpSocket", "httpGet"):
            assert await check_of({kind: {"port": "db"}}, target, http)() == unknown
        server.close()
        await server.wait_closed()
        refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
        assert await check_of({"tcpSocket": {"port": port}}, target, http)() == Checked(
            False, refused
        )
        asked = check_of({"httpGet": {"port": "web", "path": "/healthz"}}, target, http)
        url = f"http://127.0.0.1:{port}/healthz"
        assert await asked() == Checked(False, f'Get "{url}": {refused}')


async def test_a_probe_leaves_in_peace(tmp_path: Path) -> None:
    """It reads what it is told and closes its connection: nobody sees a reset."""
    ends: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        await writer.drain()
        writer.write(b"ok\n")
        try:
            ends.set_result(await reader.read())
        except ConnectionError as e:
            ends.set_exception(e)
        writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = ProbeTarget("127.0.0.1", {}, {}, tmp_path, ProcessGroups())
    connector = aiohttp.TCPConnector(force_close=True)
    async with server, aiohttp.ClientSession(connector=connector) as http:
        assert (await check_of({"httpGet": {"port": port}}, target, http)()).ok
        assert await ends == b""


def test_the_web_image_says_nothing_of_clients_that_hang_up(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A reset in the middle of a request is no traceback, and the next one is served."""
    server = WebServer(("127.0.0.1", 0))
    server.daemon_threads = False  # its end waits for all requests
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    with socket.create_connection(server.server_address[:2]) as client:
        client.sendall(b"GET / HT")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with urlopen(f"http://127.0.0.1:{server.server_address[1]}/", timeout=30) as reply:
        assert b"hello from" in reply.read()
    server.shutdown()
    serving.join()
    server.server_close()
    assert "Traceback" not in capfd.readouterr().err


async def test_volumes_are_directories_by_name(tmp_path: Path) -> None:
    """hostPath is the machine's own; what is not known here is an empty directory."""
    volumes = [
        {"name": "the-host", "hostPath": {"path": "/srv/data"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
    ]
    made = {**POD, "spec": {"volumes": volumes}}
    found = await prepare(ApiClient(""), made, tmp_path)
    assert found["VOLUME_THE_HOST"] == "/srv/data"
    assert found["VOLUME_CLAIM"] == str(tmp_path / "volumes" / "claim")
    assert os.listdir(found["VOLUME_CLAIM"]) == []


async def test_a_check_that_does_not_answer_fails() -> None:
    """timeoutSeconds ends the check, and its words say so."""
    seen: list[Checked] = []

    async def never() -> Checked:
        await asyncio.Event().wait()
        raise AssertionError

    def answered(checked: Checked, verdict: bool | None) -> bool:
        seen.append(checked)
        return True

    await probe(never, ProbeTimes(timeout_s=0.01), _at_once, answered)
    assert seen == [Checked(False, "no answer within 0.01 s")]


def test_addresses_are_unique_and_come_back_late() -> None:
    """Each owner keeps one; a freed one is given out last; a range that is used up says so."""
    addresses = PodAddresses("127.64.3.0/29")
    taken = [addresses.take(owner) for owner in "abc"]
    assert taken == ["127.64.3.1", "127.64.3.2", "127.64.3.3"]
    assert addresses.take("b") == "127.64.3.2"
    addresses.free("a")
    rest = [addresses.take(owner) for owner in "defg"]
    assert rest == ["127.64.3.4", "127.64.3.5", "127.64.3.6", "127.64.3.1"]
    with pytest.raises(AddressesExhausted):
        addresses.take("h")
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/24"):
        PodAddresses("10.0.0.0/24")


@pytest.mark.parametrize(
    ("text", "value"),
    [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$A $(", "$A $("), ("$$$(A)", "$1")],
)
def test_references_to_variables(text: str, value: str) -> None:
    """$(NAME) is expanded, an unknown one stays, $$ escapes."""
    assert expanded(text, {"A": "1"}) == value


def test_fields_of_the_downward_api() -> None:
    """What fieldRef may name, and what it may not."""
    assert field_of(POD, "metadata.name") == "web"
    assert field_of(POD, "metadata.labels['app']") == "web"
    assert field_of(POD, "metadata.annotations['no']") == ""
    assert field_of(POD, "status.podIP") == "127.64.0.1"
    with pytest.raises(ConfigurationError, match=r"spec\.volumes"):
        field_of(POD, "spec.volumes")


def test_images_are_commands() -> None:
    """With or without a tag; the container's own command wins; the unknown says what to do."""
    images = Images(["reg.io:5000/team/app=run --fast"])
    assert images.argv("reg.io:5000/team/app:v1", [], ["x"]) == ["run", "--fast", "x"]
    assert images.argv("reg.io:5000/team/app@sha256:0", [], []) == ["run", "--fast"]
    assert images.argv("nginx", ["true"], ["y"]) == ["true", "y"]
    with pytest.raises(UnknownImage, match="--image nginx=COMMAND"):
        images.argv("nginx:1.27", [], [])
    with pytest.raises(ValueError, match="NAME=COMMAND"):
        Images(["nginx"])


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
def test_quality_of_service(resources: list[dict[str, Any]], expected: str) -> None:
    """Limits that are the requests guarantee; nothing at all promises nothing."""
    pod = {"spec": {"containers": [{"name": "c", "resources": each} for each in resources]}}
    assert qos_class(pod) == expected


def test_taints_are_read_as_kubectl_writes_them() -> None:
    """KEY=VALUE:EFFECT and KEY:EFFECT; another effect is told."""
    assert taint_of("a.b/c=d:NoSchedule") == {"key": "a.b/c", "value": "d", "effect": "NoSchedule"}
    assert taint_of("c:NoExecute") == {"key": "c", "effect": "NoExecute"}
    for text in ("c", "c=d", "c:Never", ":NoExecute"):
        with pytest.raises(ValueError, match="KEY=VALUE:EFFECT"):
            taint_of(text)


async def test_logs_are_kept_within_bounds_and_followed(tmp_path: Path) -> None:
    """Two files at most; who follows gets what comes after a rotation too, then the end."""
    log = ContainerLog(tmp_path / "0.log", Clock(), limit=2000)
    stream = asyncio.StreamReader()
    copying = asyncio.create_task(log.copy(stream, "stdout"))
    got: list[bytes] = []
    more = asyncio.Event()

    async def follow() -> None:
        async for chunk in log.read(LogOptions(follow=True)):
            got.append(chunk)
            more.set()

    following = asyncio.create_task(follow())
    lines = [b"line %03d %s\n" % (n, b"x" * 60) for n in range(100)]
    for number, line in enumerate(lines):
        stream.feed_data(line)
        while b"".join(got).count(b"\n") <= number:
            await more.wait()
            more.clear()
    stream.feed_data(b"no end of line")
    stream.feed_eof()
    await copying
    await log.close()
    await following
    assert b"".join(got) == b"".join(lines) + b"no end of line\n"
    sizes = [path.stat().st_size for path in (tmp_path / "0.log", tmp_path / "0.1.log")]
    assert max(sizes) <= 2000
    last = [chunk async for chunk in log.read(LogOptions(tail=2))]
    assert last == [lines[-1] + b"no end of line\n"]


async def test_long_lines_are_put_together_again(tmp_path: Path) -> None:
    """A line longer than a piece is stored in pieces and shown as one."""
    log = ContainerLog(tmp_path / "0.log", Clock())
    stream = asyncio.StreamReader()
    long = b"y" * (2 * PIECE_BYTES_MAX + 5)
    stream.feed_data(long + b"\nshort\n")
    stream.feed_eof()
    await log.copy(stream, "stderr")
    raw = (tmp_path / "0.log").read_bytes()
    assert raw.count(b" stderr P ") == 2
    assert shown(raw, LogOptions()) == long + b"\nshort\n"
    assert shown(raw, LogOptions(tail=1)) == b"short\n"
    stamped = shown(raw, LogOptions(tail=1, timestamps=True))
    assert stamped.endswith(b"Z short\n")
    assert shown(raw, LogOptions(since="2999-01-01T00:00:00Z")) == b""


MANIFEST = b"""
kind: Pod
apiVersion: v1
metadata: {name: %s}
spec: {containers: [{name: c, command: [sleep, "60"]}]}
"""


def test_static_pods_are_named_by_node_and_known_by_hash() -> None:
    """The same manifest is the same pod; its mirror carries the hash and no uid of its own."""
    first, again = pods_of(MANIFEST % b"a", "n1", "file"), pods_of(MANIFEST % b"a", "n1", "file")
    assert first == again
    assert first[0]["metadata"]["name"] == "a-n1"
    assert first[0]["spec"]["nodeName"] == "n1"
    assert (
        first[0]["metadata"]["uid"] != pods_of(MANIFEST % b"b", "n1", "file")[0]["metadata"]["uid"]
    )
    mirror = mirror_of(first[0], "node-uid")
    assert mirrored(mirror) == first[0]["metadata"]["uid"]
    assert "uid" not in mirror["metadata"]
    assert mirror["metadata"]["ownerReferences"][0]["uid"] == "node-uid"


@pytest.mark.parametrize(
    "text", [b"kind: Service", b"- x", b"{", b"kind: Pod\nmetadata: {name: x}\nspec: {}"]
)
def test_bad_manifests_are_told(text: bytes) -> None:
    """What is no pod, or no YAML, is refused with words."""
    with pytest.raises(BadManifest):
        pods_of(text, "n1", "file")


def test_sources_tell_what_changed() -> None:
    """Only what came, went or changed is looked at again; pushed pods can be withdrawn."""
    changed: list[str] = []
    static = StaticPods(lambda namespace, name: changed.append(name))
    a, b = pods_of(MANIFEST % b"a" + b"---" + MANIFEST % b"b", "n1", "file")
    static.put("file", [a, b])
    static.put("file", [a])
    assert sorted(changed) == ["a-n1", "b-n1", "b-n1"]
    static.push(b)
    assert static.get("default", "b-n1") == b
    assert static.withdraw("default", "b-n1")
    assert not static.withdraw("default", "a-n1")
    assert static.get("default", "a-n1") == a


async def _at_once(seconds: float) -> None:
    await asyncio.sleep(0)
