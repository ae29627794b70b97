"""What was found at a peer URL, and whether a member may be given that URL.

Owns: PeerAnswer and the judgement. Must never do: ask; ``peer.probe`` does. A member that is not
started yet answers nothing, and that is how it should be: only what answers, and is not what the
operator means, stands against a URL.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from http import HTTPStatus

from raftkv.peer.finding import Finding
from raftkv.server.introduction import CLUSTER_ID, ClusterView


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """``view``: a member spoke. ``strange``: something else did, in these words. Neither: nobody,
    and ``silence`` says how that was found out."""

    view: ClusterView | None = None
    strange: str = ""
    silence: str = "nothing answers"

    @staticmethod
    def of(finding: Finding) -> PeerAnswer:
        """A member of etcd has the same path, and names its cluster in the same header."""
        if finding.status != HTTPStatus.OK:
            strange = finding.strange or _told_status(finding.status)
            return PeerAnswer(strange=strange, silence=finding.silence)
        view = ClusterView.decode(finding.body, finding.headers)
        if view is None and (cluster := finding.headers.get(CLUSTER_ID.lower())):
            try:
                view = ClusterView(int(cluster, 16), has_begun=True)
            except ValueError:
                view = None
        if view is None:
            return PeerAnswer(strange="it answers GET /members with what no member says")
        return PeerAnswer(view)

    def told(self, url: str) -> str:
        """One line for whoever asked."""
        if self.strange:
            return f"{url}: {self.strange}"
        if self.view is None:
            return f"{url}: {self.silence} (so it is before a member is started)"
        if not self.view.cluster_id:
            return f"{url}: a member without data waits there for its cluster"
        return f"{url}: a member of cluster {self.view.cluster_id:x} answers"


def _told_status(status: int) -> str:
    return f"it answers GET /members with {status}; is it a client URL?" if status else ""


def objection(
    url: str, answer: PeerAnswer, *, cluster: int, removed: Container[int], owner: int = 0
) -> str:
    """Why a member of ``cluster`` cannot be at ``url``, "" if it can. ``owner``: who may be there
    already. Who was ``removed`` is about to end by itself."""
    if answer.strange:
        return (
            f"what answers at {url} is no member's peer port: {answer.strange}; "
            f"give the URL of --initial-advertise-peer-urls"
        )
    view = answer.view
    if view is None or not view.cluster_id:
        return ""
    if view.cluster_id != cluster:
        return (
            f"a member of another cluster, {view.cluster_id:x}, answers at {url}; this one is "
            f"{cluster:x}: stop that member, and give the new one an empty data directory"
        )
    if view.answerer and (view.answerer == owner or view.answerer in removed):
        return ""
    who = f"member {view.answerer:x}" if view.answerer else "a member"
    return f"{who} of this cluster answers at {url} already: give the URL of the one you mean"
