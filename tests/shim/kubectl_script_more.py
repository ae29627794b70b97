"""More of what is typed at kubectl: steps that need parts of the server besides the objects: who
asks (access), a node that runs processes (kubelet). `needs` names them; a scene joins those of
kubectl_script where a test starts its parts."""

from __future__ import annotations

from tests.shim.kubectl_step import Step

JOB = (
    Step("create job once --image=x -- true", "created", needs="kubelet"),
    Step("wait job/once --for=condition=complete --timeout=40s", "condition met", needs="kubelet"),
)
LOGS = (
    Step("logs deploy/site --tail=1"),
    Step("logs nothing", code=1, complains="not found", needs="kubelet"),
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
    "job": JOB,
    "logs": LOGS,
    "access": ACCESS,
    "refused": REFUSED,
}
