"""Revisions of a Deployment: which ReplicaSet has its template, and what the annotations say."""

from __future__ import annotations

from typing import Any

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.controllers.deployments.revisions import (
    HASH_LABEL,
    REVISION,
    REVISION_HISTORY,
    new_set,
    newest_of,
    next_revision,
    same_template,
    set_annotations,
    template_hash,
)
from tests.shim.pod_examples import ago
from tests.shim.workloads import deployment


def template(image: str = "i", **spec: Any) -> Object:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def a_set(name: str, image: str, age_s: float, revision: str = "") -> Object:
    annotations = {REVISION: revision} if revision else {}
    metadata = {"name": name, "creationTimestamp": ago(age_s), "annotations": annotations}
    return {"metadata": metadata, "spec": {"template": template(image)}}


def test_a_template_that_was_read_and_written_is_the_same() -> None:
    """What clients add when they write back what they have read says nothing; what an empty object
    does say counts."""
    plain, again = template(), template()
    again["metadata"] |= {"creationTimestamp": None, "annotations": {}}
    again["metadata"]["labels"] = {"app": "web", HASH_LABEL: "abc"}
    again["spec"]["containers"][0] |= {"resources": {}, "args": []}
    again["spec"]["securityContext"] = {}
    assert same_template(plain, again)
    assert template_hash(plain, 0) == template_hash(again, 0)
    assert not same_template(plain, template("other"))
    volume = {"name": "v", "emptyDir": {}}
    assert not same_template(template(volumes=[volume]), template(volumes=[{"name": "v"}]))


def test_hashes_differ_by_collision() -> None:
    """A name that is taken is left for another one."""
    assert template_hash(template(), 0) != template_hash(template(), 1)
    assert len(template_hash(template(), 0)) == 10


def test_the_oldest_set_with_the_template_is_the_newest_revision() -> None:
    """So that an undo goes back to the set that was, and two leaders choose alike."""
    sets = [a_set("b", "i", 10), a_set("a", "i", 50), a_set("c", "other", 99)]
    found = newest_of({"spec": {"template": template("i")}}, sets)
    assert found is not None
    assert found["metadata"]["name"] == "a"
    assert newest_of({"spec": {"template": template("new")}}, sets) is None


def test_a_set_that_comes_back_remembers() -> None:
    """Its new revision is one above all others, and the old one is history."""
    old = [a_set("a", "i", 50, "1"), a_set("b", "j", 10, "2")]
    assert next_revision(old) == 3
    owner = deployment("web", 1)
    owner["metadata"]["annotations"] = {
        "note": "x",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    found = set_annotations(owner, old[0], 3)
    assert found == {REVISION: "3", REVISION_HISTORY: "1", "note": "x"}
    again = {"metadata": {"annotations": found}}
    assert set_annotations(owner, again, 3) == found, "nothing changes when it is told again"


def test_a_new_set_is_the_deployments() -> None:
    """Named and labelled by the hash, in its selector too; the Deployment's own stays as it is."""
    owner = deployment("web", 3)
    owner["metadata"] |= {"namespace": "default", "uid": "u"}
    made = new_set(owner, "abc", 2, {REVISION: "1"})
    assert made["metadata"]["name"] == "web-abc"
    labels = {"app": "web", HASH_LABEL: "abc"}
    assert made["metadata"]["labels"] == labels
    assert made["spec"]["template"]["metadata"]["labels"] == labels
    assert made["spec"]["selector"] == {"matchLabels": labels}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert owner["spec"]["template"]["metadata"]["labels"] == {"app": "web"}
