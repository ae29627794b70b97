"""The flags of the page, and the ports that `raftkv local` gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raftkv.cli.local_plan import command_of, plan
from raftkv.cli.settings import read_settings
from raftkv.cli.ui_port import origins_in, ui_url_of
from raftkv.errors import ConfigError
from raftkv.server.config import Address, UiSettings

DATA = Path("/data")


def test_there_is_no_page_unless_asked_for() -> None:
    """A member serves etcd's ports alone by default."""
    config = read_settings([], {})
    assert config.ui == UiSettings()
    assert ui_url_of(config) == ""


def test_a_page_on_this_machine() -> None:
    """On any address of loopback, by flag or by variable."""
    for url in ("http://127.0.0.1:2381", "http://localhost:2381", "http://[::1]:2381"):
        config = read_settings([f"--listen-ui-url={url}"], {})
        assert ui_url_of(config) == url
    assert read_settings([], {"ETCD_LISTEN_UI_URL": "http://127.0.0.1:1"}).ui.listen == Address(
        "127.0.0.1", 1
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "[::]", "db.example"])
def test_a_page_for_other_machines_has_to_be_allowed(host: str) -> None:
    """The refusal says what may go wrong, and both ways out."""
    url = f"http://{host}:2381"
    with pytest.raises(ConfigError) as refused:
        read_settings([f"--listen-ui-url={url}"], {})
    for words in (url, "read all keys", "http://127.0.0.1:2381", "--ui-allow-remote"):
        assert words in str(refused.value)
    config = read_settings([f"--listen-ui-url={url}", "--ui-allow-remote"], {})
    assert config.ui.listen is not None


@pytest.mark.parametrize(
    "url", ["127.0.0.1:2381", "unix:///x", "http://127.0.0.1", "http://127.0.0.1:1/x", "http://[:1"]
)
def test_what_is_no_url_of_a_page(url: str) -> None:
    """One line that names the flag."""
    with pytest.raises(ConfigError, match="--listen-ui-url"):
        read_settings([f"--listen-ui-url={url}"], {})


def test_https_needs_the_client_ports_certificate() -> None:
    """A page has no certificate of its own."""
    with pytest.raises(ConfigError, match=r"ui url https://127\.0\.0\.1:2381"):
        read_settings(["--listen-ui-url=https://127.0.0.1:2381"], {})


def test_where_others_find_a_page_on_all_addresses() -> None:
    """At the host that clients are told."""
    config = replace(
        read_settings([], {}),
        advertise_client_urls=("http://10.0.0.5:2379",),
        ui=UiSettings(Address("0.0.0.0", 2381), allow_remote=True),
    )
    assert ui_url_of(config) == "http://10.0.0.5:2381"


def test_only_origins_go_into_headers() -> None:
    """What a member says of itself is not repeated blindly."""
    good = frozenset(("http://127.0.0.1:2381", "https://db.example:1", "http://[::1]:2381"))
    bad = frozenset(("http://x:1; script-src *", "http://x", "javascript:1", "http://x:1/\r\nA: b"))
    assert origins_in(good | bad) == good


def test_raftkv_local_gives_each_member_a_page() -> None:
    """Two above the client port; none of its ports is used twice; --no-ui leaves it out."""
    for members in (1, 3, 5):
        places = plan(members, 2379, DATA)
        ports = [port for place in places for port in place.ports]
        assert len(ports) == len(set(ports)) == 3 * members
    places = plan(3, 2379, DATA)
    command = command_of(places[0], places, (), DATA / "control.sock")
    config = read_settings(command, {})
    assert config.ui == UiSettings(Address("127.0.0.1", 2381), local_control="/data/control.sock")
    without = plan(3, 2379, DATA, has_ui=False)
    plain = command_of(without[0], without, (), DATA / "control.sock")
    assert not [word for word in plain if "ui" in word]
    assert all(len(place.ports) == 2 for place in without)
