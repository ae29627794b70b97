"""What is typed at kubectl where everything runs, as administrator: pods are processes that write
logs, and somebody asks who is allowed what. Each scene makes a namespace of its own."""

from __future__ import annotations

from tests.shim.kubectl_step import Step

START = (
    Step("create namespace {ns}", "namespace/{ns} created"),
    Step("config set-context --current --namespace={ns}", "modified"),
    Step("get serviceaccount default -o name", "serviceaccount/default", eventually=True),
)
TALK = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: talk}
spec:
  replicas: 2
  selector: {matchLabels: {app: talk}}
  template:
    metadata: {labels: {app: talk}}
    spec:
      containers:
      - {name: a, image: i, command: [sh, -c, "echo a one; echo a two; exec sleep 600"]}
      - {name: b, image: i, command: [sh, -c, "echo b one; exec sleep 600"]}
"""
LOGS = (
    Step("apply -f -", "deployment.apps/talk created", stdin=TALK),
    Step("rollout status deploy/talk --timeout=50s", "successfully rolled out"),
    Step("logs deploy/talk -c a", r"\Aa one\na two\n\Z", eventually=True),
    Step("logs deploy/talk -c a --tail=1", r"\Aa two\n\Z"),
    Step("logs deploy/talk -c a --limit-bytes=3", r"\Aa o\Z"),
    Step("logs deploy/talk -c a --timestamps", r"\A\d{4}-\d\d-\d\dT\S+Z a one\n"),
    Step("logs deploy/talk -c a --since=1h", r"\Aa one\n"),
    Step("logs deploy/talk -c a --since-time=2099-01-01T00:00:00Z", silent="."),
    Step("logs deploy/talk", "a one", complains="Defaulted container", only="new"),
    Step("logs deploy/talk", code=1, complains=r"choose one of: \[a b\]", only="old"),
    Step("logs deploy/talk --all-containers", r"a one\na two\n(.*\n)*b one", eventually=True),
    Step("logs -l app=talk --all-containers --tail=-1", r"\A([ab] (one|two)\n){6}\Z"),
    Step("logs -l app=talk -c b --prefix", r"\A(\[pod/talk-\S+/b\] b one\n){2}\Z"),
    Step("logs deploy/talk -c c", code=1, complains="container c is not valid for pod talk-"),
    Step("logs deploy/talk -c a --previous", code=1, complains="previous terminated.+not found"),
    Step("logs nothing", code=1, complains='pods "nothing" not found'),
    Step("create deployment bad --image=i -- sh -c 'echo going down; exit 3'", "created"),
    Step("get pods -l app=bad", r"bad-\S+ +0/1 +CrashLoopBackOff +[1-9]", eventually=True),
    Step("logs deploy/bad --previous", "^going down$"),
    Step(
        "get pods -l app=bad -o jsonpath={.items[*]..lastState.terminated.exitCode}",
        "^3$",
    ),
    Step(
        "describe pods -l app=bad",
        "(?s)Reason: +CrashLoopBackOff.+Last State: +Terminated.+Exit Code: +3.+BackOff .+kubelet",
        eventually=True,
    ),
    Step("delete deploy talk --cascade=orphan", "deleted"),
    Step("get rs -l app=talk", r"talk-\S+ +2 +2 +2 "),
    Step("get rs -l app=talk -o jsonpath={..ownerReferences}", silent="."),
    Step("delete rs -l app=talk --cascade=background", "deleted"),
    Step("get pods -l app=talk", complains="No resources found", eventually=True),
    Step("delete namespace {ns} --timeout=50s", 'namespace "{ns}" deleted'),
    Step("get pods", complains="No resources found"),
)
JOB = (
    Step("create job once --image=i -- sh -c 'echo it was done'", "job.batch/once created"),
    Step("wait job/once --for=condition=complete --timeout=50s", "condition met"),
    Step("logs job/once", r"\Ait was done\n\Z"),
    Step("logs -f job/once", r"\Ait was done\n\Z"),
    Step("get job once", r"once +(Complete +)?1/1 "),
    Step("get pods -l job-name=once", r"once-\S+ +0/1 +Completed +0 "),
    Step(
        "get events --field-selector involvedObject.name=once",
        r"SuccessfulCreate (.*\n)*.+Completed ",
    ),
    Step("delete job once --cascade=foreground", '"once" deleted'),
    Step("get pods -l job-name=once", complains="No resources found"),
)
POD = """
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: one}}
spec:
  containers: [{name: c, image: i, command: [sleep, "600"]}]
"""
PODS = (
    Step("create -f -", "pod/one created", stdin=POD),
    Step("wait pod/one --for=condition=Ready --timeout=50s", "pod/one condition met"),
    Step("get pod one -o wide", r"one +1/1 +Running +0 +\S+ +127\.\S+ +node-1 "),
    Step("exec one -- true", code=1, complains="pods/exec is not supported"),
    Step("attach one", code=1, complains="pods/attach is not supported"),
    Step("port-forward one :80", code=1, complains="pods/portforward is not supported"),
    Step("exec nothing -- true", code=1, complains='pods "nothing" not found'),
    Step("attach nothing", code=1, complains='pods "nothing" not found'),
    Step("top pod", code=1, complains="Metrics API not available"),
    Step("delete pod one", 'pod "one" deleted'),
    Step("get pod one", code=1, complains='pods "one" not found'),
    Step("create -f -", "pod/one created", stdin=POD),
    Step("wait pod/one --for=condition=Ready --timeout=50s", "pod/one condition met"),
    Step("replace --force --grace-period=0 -f -", "pod/one replaced", stdin=POD),
    Step("wait pod/one --for=condition=Ready --timeout=50s", "pod/one condition met"),
    Step("delete pod one --now", 'pod "one" .*deleted'),
)
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: "{ns}"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"""
ACCOUNT = "system:serviceaccount:{ns}:default"
ACCESS = (
    Step("auth can-i create pods", "^yes$"),
    Step("auth can-i '*' '*' --all-namespaces", "^yes$"),
    Step("auth can-i get pods --subresource=log", "^yes$"),
    Step("auth can-i get /metrics", "^yes$", complains="\\A\\Z"),
    Step("auth can-i create pods --as=nobody", "^no", code=1),
    Step("auth can-i --list", r"\*\.\* +\[\] +\[\] +\[\*\]"),
    Step("auth whoami", r"Username +kubernetes-admin\n(.*\n)*Groups .+system:masters", only="new"),
    Step("create token default --duration=1h", r"\A[\w-]+\.[\w-]+\.[\w-]+$", only="new"),
    Step("create token nobody", code=1, complains='serviceaccounts "nobody" not found', only="new"),
    Step("get secrets --as=nobody", code=1, complains='Forbidden.+"nobody" cannot list'),
    Step("get nodes --as=carol --as-group=system:masters", "node-1"),
    Step("auth reconcile -f -", "reader reconciled", stdin=ROLE),
    Step("auth reconcile -f -", "reader reconciled", stdin=ROLE.replace("[get]", "[get, list]")),
    Step("get role reader -o jsonpath={.rules[*].verbs[*]}", "list"),
    Step("create rolebinding reads --role=reader --serviceaccount={ns}:default", "created"),
    Step(f"auth can-i list pods --as={ACCOUNT}", "^yes$", eventually=True),
    Step(f"auth can-i delete pods --as={ACCOUNT}", "^no", code=1),
    Step(f"auth can-i --list --as={ACCOUNT}", r"pods +\[\] +\[\] +\[.*list.*\]"),
    Step(f"get pods --as={ACCOUNT}", complains="No resources found"),
    Step(f"get pods --as={ACCOUNT} -n default", code=1, complains='cannot list resource "pods"'),
    Step(f"get secrets --as={ACCOUNT}", code=1, complains='cannot list resource "secrets"'),
    Step(f"delete role reader --as={ACCOUNT}", code=1, complains='cannot delete resource "roles"'),
)
UP_SCENES = {
    name: (*START, *scene)
    for name, scene in {"logs": LOGS, "job": JOB, "pods": PODS, "access": ACCESS}.items()
}
