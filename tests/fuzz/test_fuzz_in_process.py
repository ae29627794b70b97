"""Whatever is said to either port, in process, is answered or hung up on; nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import campaign, client_sessions, peer_speech
from tests.fuzz.in_process import PLACE, ClientPort, PeerPort

CLIENT_SESSIONS, PEER_SESSIONS = 1_500, 3_000
CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture
def client_port(tmp_path: Path) -> Iterator[ClientPort]:
    port = ClientPort(tmp_path)
    yield port
    port.close()


@pytest.fixture
def peer_port() -> Iterator[PeerPort]:
    port = PeerPort()
    yield port
    port.close()


def peer_session(random: Random) -> list[bytes]:
    return peer_speech.session(random, PLACE)


def corpus(port: str) -> list[Path]:
    files = sorted((CORPUS / port).iterdir())
    assert files, f"no inputs for the {port} port"
    return files


@pytest.mark.parametrize("path", corpus("client"), ids=lambda path: path.stem)
def test_kept_inputs_of_the_client_port(client_port: ClientPort, path: Path) -> None:
    """Each input of the corpus is stood, in one piece and byte by byte."""
    data = path.read_bytes()
    assert client_port.play([data]) == ""
    assert client_port.play([data[at : at + 1] for at in range(min(len(data), 3_000))]) == ""


@pytest.mark.parametrize("path", corpus("peer"), ids=lambda path: path.stem)
def test_kept_inputs_of_the_peer_port(peer_port: PeerPort, path: Path) -> None:
    """Each input of the corpus is stood, in one piece and byte by byte."""
    data = path.read_bytes()
    assert peer_port.play([data]) == ""
    assert peer_port.play([data[at : at + 1] for at in range(min(len(data), 3_000))]) == ""


def test_every_kept_input_has_its_reason() -> None:
    """corpus/README.md says of each file what it is and why it is kept; each is small."""
    reasons = (CORPUS / "README.md").read_text()
    for path in (*corpus("client"), *corpus("peer")):
        assert f"`{path.parent.name}/{path.name}`" in reasons, path
        assert path.stat().st_size <= 4_096, path


@pytest.mark.slow
def test_the_client_port_stands_anything(client_port: ClientPort) -> None:
    """HTTP/2 frames, HPACK, gRPC, protobuf, HTTP/1.1 and JSON, made and spoilt from a seed."""
    seed = campaign.seed_or(1)
    campaign.run_count(client_port.play, client_sessions.session, seed=seed, count=CLIENT_SESSIONS)


@pytest.mark.slow
def test_the_peer_port_stands_anything(peer_port: PeerPort) -> None:
    """Greetings, frames, Raft messages, snapshots and HTTP, made and spoilt from a seed."""
    seed = campaign.seed_or(1)
    campaign.run_count(peer_port.play, peer_session, seed=seed, count=PEER_SESSIONS)


@pytest.mark.long
@pytest.mark.timeout(campaign.long_seconds() + 120)
def test_the_client_port_stands_it_for_minutes(client_port: ClientPort) -> None:
    """The same for RAFTKV_LONG_SECONDS, with a seed of its own."""
    seed, seconds = campaign.seed_or(1_000_001), campaign.long_seconds()
    done = campaign.run_seconds(
        client_port.play, client_sessions.session, seed=seed, seconds=seconds
    )
    print(f"client port: {done} sessions of seed {seed}")
    assert done > 0


@pytest.mark.long
@pytest.mark.timeout(campaign.long_seconds() + 120)
def test_the_peer_port_stands_it_for_minutes(peer_port: PeerPort) -> None:
    """The same for RAFTKV_LONG_SECONDS, with a seed of its own."""
    seed, seconds = campaign.seed_or(1_000_002), campaign.long_seconds()
    done = campaign.run_seconds(peer_port.play, peer_session, seed=seed, seconds=seconds)
    print(f"peer port: {done} sessions of seed {seed}")
    assert done > 0
