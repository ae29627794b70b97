"""What is typed at kubectl where controllers, a scheduler and the nodes n1 and n2 run, whose pods
say that they are ready."""

from __future__ import annotations

from tests.shim.kubectl_script import WEB
from tests.shim.kubectl_step import Step

OTHERS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ordered}
spec:
  replicas: 2
  serviceName: ordered
  selector: {matchLabels: {app: ordered}}
  template: {metadata: {labels: {app: ordered}}, spec: {containers: [{name: c, image: "i:1"}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template: {metadata: {labels: {app: everywhere}}, spec: {containers: [{name: c, image: "i:1"}]}}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: plain}
spec:
  replicas: 1
  selector: {app: plain}
  template: {metadata: {labels: {app: plain}}, spec: {containers: [{name: c, image: "i:1"}]}}
"""
WORKLOADS = (
    Step("apply -f -", "deployment.apps/site created", stdin=WEB),
    Step("rollout status deploy/site --timeout=40s", "successfully rolled out"),
    Step("get rs -l app=site", r"site-\S+ +2 +2 +2", eventually=True),
    Step("get pods -l app=site", r"(site-\S+ +./1 +Running +0 .+\n){2}", eventually=True),
    Step("get endpoints site", r"site +\S+:8080,\S+:8080", eventually=True),
    Step("scale deploy/site --replicas=3", "deployment.apps/site scaled"),
    Step("scale deploy/site --current-replicas=9 --replicas=1", code=1),
    Step("get deploy site --subresource=scale -o name", "scale", only="new"),
    Step("set image deploy/site site=site:2", "image updated"),
    Step("rollout status deploy/site --timeout=40s", "successfully rolled out"),
    Step("rollout history deploy/site", r"(?s)REVISION.+1 .+2 ", eventually=True),
    Step("rollout history deploy/site --revision=1", "site:1"),
    Step("rollout undo deploy/site", "deployment.apps/site rolled back"),
    Step("get deploy site -o jsonpath={..image}", "site:1"),
    Step("rollout undo deploy/site --to-revision=2", "rolled back"),
    Step("get deploy site -o jsonpath={..image}", "site:2"),
    Step("rollout undo deploy/site --to-revision=9", code=1, complains="unable to find"),
    Step("rollout pause deploy/site", "paused"),
    Step("rollout resume deploy/site", "resumed"),
    Step("rollout restart deploy/site", "restarted"),
    Step("rollout status deploy/site --timeout=40s", "successfully rolled out"),
    Step("get events", "ScalingReplicaSet", eventually=True),
    Step("events --for deploy/site", "ScalingReplicaSet", only="new"),
    Step("describe deploy site", "(?s)Events:.+ScalingReplicaSet", eventually=True),
    Step("wait deploy/site --for=condition=Available --timeout=40s", "condition met"),
    Step("scale rs -l app=site --replicas=0", "scaled"),
    Step("delete deploy site --cascade=foreground", "deleted"),
    Step("get rs -l app=site", complains="No resources found", eventually=True),
)
SETS = (
    Step("apply -f -", "(?s)ordered created.+everywhere created.+plain created", stdin=OTHERS),
    Step("rollout status sts/ordered --timeout=40s", "rolling update complete|roll out complete"),
    Step("rollout status ds/everywhere --timeout=40s", "successfully rolled out"),
    Step("get ds everywhere", r"everywhere +2 +2 +2 +2 +2 ", eventually=True),
    Step("get pods -l app=ordered", r"ordered-0 +./1 .+\nordered-1 "),
    Step("get rc plain", r"plain +1 +1 +1 ", eventually=True),
    Step("scale sts/ordered --replicas=1", "ordered scaled"),
    Step("scale rc/plain --replicas=2", "plain scaled"),
    Step("get pods -l app=plain", r"(plain-\S+ +./1 +Running .+\n){2}", eventually=True),
    Step("set image sts/ordered c=i:2", "image updated"),
    Step("set image ds/everywhere c=i:2", "image updated"),
    Step("rollout status sts/ordered --timeout=40s", "complete"),
    Step("rollout status ds/everywhere --timeout=40s", "successfully rolled out"),
    Step("rollout history sts/ordered", r"(?s)REVISION.+1 .+2 ", eventually=True),
    Step("rollout history ds/everywhere", r"(?s)REVISION.+1 .+2 ", eventually=True),
    Step("rollout undo ds/everywhere", "rolled back"),
    Step("rollout undo sts/ordered", "rolled back"),
    Step("rollout restart sts/ordered ds/everywhere", "(?s)ordered restarted.+where restarted"),
    Step("rollout status ds/everywhere --timeout=40s", "successfully rolled out"),
    Step("get sts,ds -o jsonpath={..image}", "^i:1 i:1$"),
    Step("delete sts,ds,rc --all --cascade=foreground --timeout=40s", '"plain" deleted'),
    Step("get pods", complains="No resources found", eventually=True),
)
NODES = (
    Step("get nodes", r"NAME +STATUS +ROLES +AGE +VERSION.*\nn1 +Ready"),
    Step("create deployment busy --image=x --replicas=4", "created"),
    Step("rollout status deploy/busy --timeout=40s", "successfully rolled out"),
    Step("cordon n1", "n1 cordoned"),
    Step("get nodes n1", "Ready,SchedulingDisabled"),
    Step("drain n1 --ignore-daemonsets --timeout=40s", "(drained|evicted)"),
    Step(
        "get pods -l app=busy --field-selector spec.nodeName=n1 -o name",
        silent="pod/busy",
    ),
    Step("rollout status deploy/busy --timeout=40s", "successfully rolled out"),
    Step("uncordon n1", "n1 uncordoned"),
    Step("taint node n1 a=b:NoSchedule", "n1 tainted"),
    Step("describe node n1", "a=b:NoSchedule"),
    Step("taint node n1 a-", "n1 (un)?tainted"),
    Step("label node n1 disk=fast", "n1 labeled"),
    Step("get nodes -l disk=fast -o name", "^node/n1$"),
    Step("delete namespace {ns} --timeout=40s", 'namespace "{ns}" deleted'),
    Step("get namespace {ns}", code=1, complains="not found"),
)
RUNNING_SCENES = {"workloads": WORKLOADS, "sets": SETS, "nodes": NODES}
"""Those that need controllers, a scheduler and nodes."""
