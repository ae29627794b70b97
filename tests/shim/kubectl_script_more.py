"""More of what is typed at kubectl: steps that need parts of the server besides the objects: who
asks (access), controllers, scale and eviction (subresources), a node (kubelet). `needs` names them;
a scene joins SCENES where a test starts its parts."""

from __future__ import annotations

from tests.shim.kubectl_script import WEB
from tests.shim.kubectl_step import Step

NODE = """
apiVersion: v1
kind: Node
metadata: {name: "{ns}-node"}
status: {conditions: [{type: Ready, status: "True"}]}
"""
WORKLOADS = (
    Step("apply -f -", "deployment.apps/site created", stdin=WEB, needs="kubelet"),
    Step("rollout status deploy/site --timeout=60s", "successfully rolled out", needs="kubelet"),
    Step("get rs -l app=site", r"site-\S+ +2 +2 +2", needs="kubelet"),
    Step("get pods -l app=site", r"(site-\S+ +1/1 +Running +0 .+\n){2}", needs="kubelet"),
    Step("get endpoints site", r"site +\S+:8080,\S+:8080", needs="kubelet"),
    Step("scale deploy/site --replicas=3", "deployment.apps/site scaled", needs="subresources"),
    Step("scale deploy/site --current-replicas=9 --replicas=1", code=1, needs="subresources"),
    Step("get deploy site --subresource=scale -o name", "scale", only="new", needs="subresources"),
    Step("set image deploy/site site=site:2", "image updated", needs="kubelet"),
    Step("rollout status deploy/site --timeout=60s", "successfully rolled out", needs="kubelet"),
    Step("rollout history deploy/site", r"(?s)REVISION.+1 .+2 ", needs="controllers"),
    Step("rollout history deploy/site --revision=1", "site:1", needs="controllers"),
    Step("rollout undo deploy/site", "deployment.apps/site rolled back", needs="controllers"),
    Step("get deploy site -o jsonpath={..image}", "site:1", needs="controllers"),
    Step("rollout pause deploy/site", "paused", needs="controllers"),
    Step("rollout resume deploy/site", "resumed", needs="controllers"),
    Step("rollout restart deploy/site", "restarted", needs="controllers"),
    Step("rollout status deploy/site --timeout=60s", "successfully rolled out", needs="kubelet"),
    Step("logs deploy/site --tail=1", needs="kubelet"),
    Step("get events", "ScalingReplicaSet", needs="controllers"),
    Step("describe deploy site", "(?s)Events:.+ScalingReplicaSet", needs="controllers"),
    Step("delete deploy site --cascade=foreground", "deleted", needs="controllers"),
    Step("get rs -l app=site", complains="No resources found", needs="controllers"),
    Step("create job once --image=x -- true", "created", needs="kubelet"),
    Step("wait job/once --for=condition=complete --timeout=60s", "condition met", needs="kubelet"),
)
NODES = (
    Step("create -f -", "node/{ns}-node created", stdin=NODE, needs="kubelet"),
    Step("get nodes {ns}-node", r"NAME +STATUS +ROLES +AGE +VERSION", needs="kubelet"),
    Step("cordon {ns}-node", "cordoned", needs="kubelet"),
    Step("get nodes {ns}-node", "SchedulingDisabled", needs="kubelet"),
    Step("uncordon {ns}-node", "uncordoned", needs="kubelet"),
    Step("taint node {ns}-node a=b:NoSchedule", "tainted", needs="kubelet"),
    Step("describe node {ns}-node", "a=b:NoSchedule", needs="kubelet"),
    Step("taint node {ns}-node a-", "untainted", needs="kubelet"),
    Step("drain {ns}-node --ignore-daemonsets --timeout=60s", "drained", needs="kubelet"),
    Step("delete node {ns}-node", "deleted", needs="kubelet"),
)
ACCESS = (
    Step("auth can-i create pods", "^yes$", needs="access"),
    Step("auth can-i create pods --as=nobody", "^no", code=1, needs="access"),
    Step("auth can-i --list", r"\*\.\*", needs="access"),
    Step("auth whoami", "Username", only="new", needs="access"),
    Step("create token default", r"^\S+\.\S+\.\S+$", only="new", needs="access"),
    Step("get secrets --as=nobody", code=1, complains="Forbidden.+cannot list", needs="access"),
    Step(
        "auth reconcile -f -",
        "reconciled",
        stdin="""
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
""",
        needs="access",
    ),
)
REFUSED = (
    Step("exec nothing -- true", code=1, complains="not found", needs="kubelet"),
    Step("attach nothing", code=1, complains="not found", needs="kubelet"),
)
SCENES_WITH_PARTS = {
    "workloads": WORKLOADS,
    "nodes": NODES,
    "access": ACCESS,
    "refused": REFUSED,
}
