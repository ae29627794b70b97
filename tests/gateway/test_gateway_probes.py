"""/livez and /readyz: which trouble fails which probe, and what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from raftkv.gateway.health_source import Trouble
from raftkv.gateway.probes import DISK_STALL_MAX_S, Probes


class Source:
    """A member in the state that the test gives it."""

    def __init__(self) -> None:
        self.raised: Sequence[str] = ()
        self.learner = False
        self.failures: dict[bool, str] = {}  # by "serializable"
        self.reason = "request_timeout"
        self.committing = False
        self.stall_s = 0.0

    async def alarms(self) -> Sequence[str]:
        return self.raised

    def has_leader(self) -> bool:
        return True

    def is_learner(self) -> bool:
        return self.learner

    async def check_read(self, *, serializable: bool) -> Trouble | None:
        assert not (serializable and self.committing), "it would wait for the disk"
        text = self.failures.get(serializable)
        return None if text is None else Trouble(self.reason, text)

    def is_committing(self) -> bool:
        return self.committing

    def disk_stall_s(self) -> float:
        return self.stall_s

    def cluster_version(self) -> str | None:
        return None


async def ask(source: Source, path: str, *, verbose: bool = False) -> tuple[int, str]:
    response = await Probes(source).answer(path, verbose=verbose)
    return response.status, response.body.decode()


async def test_a_healthy_member() -> None:
    """Both probes say ok; verbose lists what was checked."""
    source = Source()
    assert await ask(source, "/livez") == (200, "ok\n")
    assert await ask(source, "/readyz") == (200, "ok\n")
    told = "[+]serializable_read ok\n[+]disk ok\nok\n"
    assert await ask(source, "/livez", verbose=True) == (200, told)


async def test_no_leader_makes_unready_and_not_dead() -> None:
    """A restart would not bring a leader back, so only /readyz fails, and says why."""
    source = Source()
    source.failures[False] = "no leader"
    assert (await ask(source, "/livez"))[0] == 200
    status, body = await ask(source, "/readyz")
    assert status == 503
    assert "[-]linearizable_read failed: no leader\n" in body
    assert "[+]serializable_read ok\n" in body


async def test_a_full_quota_fails_neither() -> None:
    """NOSPACE is an operator's matter: the member still serves reads and deletes."""
    source = Source()
    source.raised = ("NOSPACE",)
    assert (await ask(source, "/livez"))[0] == 200
    assert (await ask(source, "/readyz"))[0] == 200


async def test_corruption_and_learners_are_not_ready() -> None:
    """Each has its own subpath, which fails alone."""
    source = Source()
    source.raised, source.learner = ("CORRUPT",), True
    assert (await ask(source, "/readyz/data_corruption"))[0] == 503
    assert (await ask(source, "/readyz/non_learner"))[0] == 503
    assert (await ask(source, "/readyz/linearizable_read"))[0] == 200


@pytest.mark.parametrize("reason", ["quarantined", "damaged"])
async def test_a_member_that_is_given_a_peers_data_is_not_restarted(reason: str) -> None:
    """A restart would begin the repair anew, again and again; it serves nobody meanwhile."""
    source = Source()
    source.reason, source.failures = reason, dict.fromkeys((True, False), "data is wrong")
    assert (await ask(source, "/livez"))[0] == 200
    assert (await ask(source, "/readyz"))[0] == 503
    source.reason = "request_timeout"
    assert (await ask(source, "/livez"))[0] == 503


async def test_a_busy_disk_is_alive_and_a_dead_one_is_not() -> None:
    """A commit is not waited for; a write that does not end in a minute is a reason to restart."""
    source = Source()
    source.committing, source.stall_s = True, DISK_STALL_MAX_S
    assert (await ask(source, "/livez"))[0] == 200
    source.stall_s = DISK_STALL_MAX_S + 1
    status, body = await ask(source, "/livez")
    assert status == 503
    assert "[-]disk failed: the disk has not finished a write for 61 s\n" in body


async def test_every_reason_is_a_word_for_programs() -> None:
    """?format=json: names and reasons that stay the same, texts that may change."""
    source = Source()
    source.raised, source.learner, source.failures[False] = ("CORRUPT",), True, "too late"
    response = await Probes(source).answer("/readyz", as_json=True)
    assert (response.status, response.content_type) == (503, "application/json")
    told = json.loads(response.body)
    assert told["ok"] is False
    assert {check["name"]: check.get("reason") for check in told["checks"]} == {
        "data_corruption": "alarm_corrupt",
        "serializable_read": None,
        "linearizable_read": "request_timeout",
        "non_learner": "learner",
    }
    response = await Probes(source).answer("/livez", as_json=True)
    assert json.loads(response.body)["ok"] is True
    assert response.status == 200


@pytest.mark.parametrize("path", ["/livez/linearizable_read", "/readyz/other", "/ready", "/livez/"])
def test_paths_that_are_none(path: str) -> None:
    """A check belongs to the probes that have it, and to no other."""
    assert not Probes(Source()).has(path)
