"""What is typed at kubectl, scene by scene, and what has to come of it. Each scene has a namespace
of its own, and its steps follow one another."""

from __future__ import annotations

from tests.shim.kubectl_kinds import EVERY_KIND, KINDS_COUNT
from tests.shim.kubectl_step import Step

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, labels: {tier: front}}
data: {colour: red, size: small}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: site, labels: {app: site}}
spec:
  replicas: 2
  selector: {matchLabels: {app: site}}
  template:
    metadata: {labels: {app: site}}
    spec:
      containers:
      - {name: site, image: "site:1", ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: site}
spec:
  selector: {app: site}
  ports: [{port: 80, targetPort: 8080}]
"""
PRUNED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {tier: pruned}}
"""
PRUNE = "apply -f - --prune -l tier=pruned --prune-"
HELD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: held, finalizers: [example.com/wait]}
"""

CREATE = (
    Step("create configmap a --from-literal=x=1", "configmap/a created"),
    Step("get configmap a -o jsonpath={.data.x}", "^1$"),
    Step("create configmap a", code=1, complains='configmaps "a" already exists'),
    Step("create secret generic s --from-literal=k=v", "secret/s created"),
    Step("get secret s -o jsonpath={.data.k}", "^dg==$"),
    Step(
        "create secret docker-registry d --docker-username=u --docker-password=p",
        "secret/d created",
    ),
    Step("create secret generic f --from-file=k=/dev/stdin", "secret/f created", stdin="v"),
    Step("get secret f -o jsonpath={.data.k}", "^dg==$"),
    Step("create secret tls t --cert=tls.pem --key=tls-key.pem", "secret/t created"),
    Step("get secret t -o jsonpath={.type}", "^kubernetes.io/tls$"),
    Step("create configmap env --from-env-file=/dev/stdin", "env created", stdin="A=b\nC=d\n"),
    Step("get configmap env -o jsonpath={.data.A}{.data.C}", "^bd$"),
    Step("create deployment web --image=web:1 --replicas=3", "deployment.apps/web created"),
    Step("get deploy web -o jsonpath={.spec.replicas}", "^3$"),
    Step("create service clusterip c --tcp=80:8080", "service/c created"),
    Step("create service nodeport n --tcp=80:8080", "service/n created"),
    Step("create service loadbalancer l --tcp=80:8080", "service/l created"),
    Step("get svc l", r"l +LoadBalancer +\S+ +<pending> +80:3\d{4}/TCP"),
    Step("create service externalname e --external-name=example.com", "service/e created"),
    Step("get svc c -o jsonpath={.spec.ports[0].targetPort}", "^8080$"),
    Step("create serviceaccount bob", "serviceaccount/bob created"),
    Step("create role r --verb=get,list --resource=pods", "role.+/r created"),
    Step("create rolebinding rb --role=r --user=u", "rolebinding.+/rb created"),
    Step("get role r -o jsonpath={.rules[0].verbs}", "get.+list"),
    Step("create job j --image=x -- echo hi", "job.batch/j created"),
    Step("get job j -o jsonpath={..command}", "echo.+hi"),
    Step(
        "create cronjob cj --image=x --schedule='*/5 * * * *' -- date", "cronjob.batch/cj created"
    ),
    Step("create job from --from=cronjob/cj", "job.batch/from created", only="new"),
    Step("create ingress i --rule=a.example/p=c:80", "ingress.networking.k8s.io/i created"),
    Step("get ingress i -o jsonpath={..service.port.number}", "^80$"),
    Step(
        "create pdb p --selector=app=web --min-available=1", "poddisruptionbudget.policy/p created"
    ),
    Step("create quota q --hard=configmaps=99", "resourcequota/q created"),
    Step("run once --image=web:1 --restart=Never --labels=app=once", "pod/once created"),
    Step("get pod once -o jsonpath={.spec.containers[0].image}", "^web:1$"),
    Step("expose deployment web --port=80 --target-port=8080 --name=web", "service/web exposed"),
    Step("get service web -o jsonpath={.spec.selector.app}", "^web$"),
    Step("autoscale deployment web --max=5 --cpu-percent=70", "autoscaled"),
    Step("get hpa web", "Deployment/web"),
    Step("create namespace {ns}-more", "namespace/{ns}-more created"),
    Step("create clusterrole {ns}-cr --verb=get --resource=nodes", "clusterrole.+created"),
    Step("create clusterrolebinding {ns}-crb --clusterrole={ns}-cr --user=u", "created"),
    Step("create priorityclass {ns}-pc --value=10", "priorityclass.+created"),
    Step("delete priorityclass/{ns}-pc", 'priorityclass.+"{ns}-pc" deleted'),
    Step("create configmap dry --dry-run=server -o name", "configmap/dry"),
    Step("create configmap dry --dry-run=client -o yaml", "kind: ConfigMap"),
    Step("get configmap dry", code=1, complains='NotFound.+configmaps "dry" not found'),
    Step("create -f -", "configmap/applied created", stdin=CONFIG),
)
EACH_KIND = (
    Step("create -f -", rf"\A(\S+ created\n){{{KINDS_COUNT}}}\Z", stdin=EVERY_KIND),
    Step("get -f - -o name", rf"\A(\S+\n){{{KINDS_COUNT}}}\Z", stdin=EVERY_KIND),
    # 1.20 asks for EndpointSlices of v1beta1, which no server has had since 1.25.
    Step("describe -f -", r"Name: +\S+", stdin=EVERY_KIND, only="new"),
    Step("label -f - seen=yes", rf"\A(\S+ labeled\n){{{KINDS_COUNT}}}\Z", stdin=EVERY_KIND),
    Step("apply -f -", rf"\A(\S+ configured\n){{{KINDS_COUNT}}}\Z", stdin=EVERY_KIND),
    Step("diff -f -", silent=".", stdin=EVERY_KIND),
    Step(
        "replace -f -",
        rf"\A(\S+ replaced\n){{{KINDS_COUNT - 2}}}\Z",
        code=1,  # a pod's account and a job's selector are not in the file, and may not change
        complains=r'(?s)Pod "x" is invalid.+Job.batch "x" is invalid.+spec.selector',
        stdin=EVERY_KIND,
    ),
    Step(
        "delete -f - --wait=false",
        rf"\A(.+ deleted.*\n){{{KINDS_COUNT}}}\Z",
        stdin=EVERY_KIND,
    ),
)
READ = (
    Step("create -f -", "deployment.apps/site created\nservice/site created", stdin=WEB),
    Step("create -f -", "configmap/applied created", stdin=CONFIG),
    Step("get configmaps", r"NAME +DATA +AGE\napplied +2 +\d+s"),
    Step("get deployments", r"NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nsite +0/2 "),
    Step(
        "get deploy site -o wide", r"AGE +CONTAINERS +IMAGES +SELECTOR\n.+ site +site:1 +app=site"
    ),
    Step("get svc site", r"NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\nsite +ClusterIP"),
    Step("get deploy,svc", r"(?s)deployment\.apps/site .+service/site "),
    Step("get all", r"(?s)service/site .+deployment\.apps/site "),
    Step("get cm applied -o yaml", "(?s)apiVersion: v1\n.+colour: red\n.+kind: ConfigMap"),
    Step("get cm applied -o json", '(?s)"kind": "ConfigMap".+"resourceVersion"'),
    Step("get cm applied -o name", "^configmap/applied$"),
    Step("get cm -o jsonpath={.items[*].metadata.name}", r"^(\S+ )*applied( \S+)*$"),
    Step("get cm applied -o go-template='{{.data.size}}'", "^small$"),
    Step("get cm -o custom-columns=N:.metadata.name,C:.data.colour", r"N +C\n(.*\n)*applied +red"),
    Step("get cm -l tier=front --show-labels", "applied .+tier=front"),
    Step("get cm -l tier!=front", silent="applied"),
    Step("get cm -l 'tier in (front,back)' -L tier", r"TIER\napplied .+front"),
    Step("get cm --field-selector metadata.name=applied", "applied"),
    Step("get cm --field-selector data.x=1", code=1, complains="is not a known field selector"),
    Step("get cm -A --field-selector metadata.namespace={ns}", r"NAMESPACE +NAME.+\n{ns} +applied"),
    Step("get cm --sort-by=.metadata.name", "applied"),
    Step("get cm --chunk-size=1", "applied"),
    Step("get cm --no-headers", silent="NAME"),
    Step("get cm nothing --ignore-not-found", silent="."),
    Step("get nosuch", code=1, complains='the server doesn\'t have a resource type "nosuch"'),
    Step("get --raw /api/v1/namespaces/{ns}/configmaps/applied", '"colour":"red"'),
    Step(
        "get --raw /nothing", code=1, complains="the server could not find the requested resource"
    ),
    Step("get -f -", "applied", stdin=CONFIG),
    Step("describe cm applied", r"(?s)Name: +applied.+Labels: +tier=front.+colour:\n----\nred"),
    Step("describe deploy site", r"(?s)Selector: +app=site.+Replicas: +2 desired.+Image: +site:1"),
    Step("describe svc site", r"(?s)Selector: +app=site.+TargetPort: +8080/"),
    Step("describe ns {ns}", r"Name: +{ns}"),
    Step("describe deploy,svc -l app=site", r"Name: +site"),
    Step("get events", complains="No resources found"),
    Step("events", complains="No events found", only="new"),
    Step("explain pod.spec.containers", r"containers <\[\]"),
    Step("explain deployment.spec.strategy.rollingUpdate", "maxSurge"),
    Step("explain pdb.spec --recursive", "minAvailable"),
    Step("explain deploy --api-version=apps/v1", r"(?s)VERSION: +.*v1.+\bstatus\b"),
    Step("explain pod.spec.nothing", code=1, complains='field "nothing" does not exist'),
    Step("api-resources", r"configmaps +cm +v1 +true +ConfigMap"),
    Step("api-resources --api-group=apps -o name", "^controllerrevisions.apps\n"),
    Step("api-resources -o wide", r"deployments +deploy +apps/v1 +true +Deployment +\[?create"),
    Step("api-resources --verbs=create --namespaced=false", "namespaces"),
    Step("api-versions", "(?s)apps/v1\n.+\nv1$"),
    Step("version", "(?i)server version.+v1.37"),
    Step("cluster-info", "running at .*http://127.0.0.1"),
    Step("cluster-info dump --namespaces {ns}", '"DeploymentList"'),
    Step("config view --minify", "namespace: {ns}"),
    Step("config current-context", "^raftkv$"),
    Step("top pod", code=1, complains="Metrics API not available|metrics"),
)
CHANGE = (
    Step("apply -f -", "configmap/applied created", stdin=CONFIG),
    Step("apply -f -", "configmap/applied unchanged", stdin=CONFIG),
    Step("diff -f -", silent=".", stdin=CONFIG),
    Step(
        "diff -f -",
        r"-  colour: red\n\+  colour: blue",
        code=1,
        stdin=CONFIG.replace("red", "blue"),
    ),
    Step("apply -f -", "applied configured", stdin=CONFIG.replace("colour: red, ", "")),
    Step("get cm applied -o jsonpath={.data}", '^{"size":"small"}$', only="new"),
    Step("apply view-last-applied cm/applied", "size: small"),
    Step("apply -f - --dry-run=server", "configured", stdin=CONFIG.replace("red", "green")),
    Step("get cm applied -o jsonpath={.data.colour}", silent="."),
    Step("apply -f -", "deployment.apps/site created\nservice/site created", stdin=WEB),
    Step("apply -f -", "site configured", stdin=WEB.replace("site:1", "site:2")),
    Step("get deploy site -o jsonpath={..image}", "site:2"),
    Step(
        "apply -f -",
        code=1,
        complains='unknown field "daata"',
        stdin=CONFIG.replace("\ndata:", "\ndaata:"),
    ),
    Step("replace -f -", "configmap/applied replaced", stdin=CONFIG.replace("red", "pink")),
    Step("get cm applied -o jsonpath={.data.colour}", "^pink$"),
    Step('patch cm applied -p \'{"data":{"n":"1"}}\'', "applied patched"),
    Step('patch cm applied --type=merge -p \'{"data":{"n":null,"m":"2"}}\'', "patched"),
    Step(
        'patch cm applied --type=json -p \'[{"op":"replace","path":"/data/m","value":"3"}]\'',
        "applied patched",
    ),
    Step("get cm applied -o jsonpath={.data.n},{.data.m}", "^,3$"),
    Step(
        'patch cm applied --type=json -p \'[{"op":"test","path":"/data/m","value":"9"}]\'',
        code=1,
        complains="The request is invalid",
    ),
    Step(
        'patch deploy site -p \'{"spec":{"template":{"spec":{"containers":'
        '[{"name":"more","image":"m"}]}}}}\'',
        "site patched",
    ),
    Step("get deploy site -o jsonpath={..containers[*].name}", "site more|more site"),
    Step(
        'patch deploy site -p \'{"spec":{"template":{"spec":{"containers":'
        '[{"name":"more","$patch":"delete"}]}}}}\'',
        "site patched",
    ),
    Step("get deploy site -o jsonpath={..containers[*].name}", "^site$"),
    Step(
        'patch deploy site --subresource=status --type=merge -p \'{"status":{"replicas":7}}\'',
        "patched",
        only="new",
    ),
    Step("get deploy site -o jsonpath={.status.replicas}", "^7$", only="new"),
    Step(
        'patch deploy site --subresource=scale --type=merge -p \'{"spec":{"replicas":4}}\'',
        "patched",
        only="new",
    ),
    Step("get deploy site -o jsonpath={.spec.replicas}", "^4$", only="new"),
    Step("label cm applied tier=back", code=1, complains="already has a value"),
    Step("label cm applied tier=back --overwrite new=yes", "applied labeled"),
    Step("label cm applied new-", "configmap/applied (unlabeled|labeled)"),
    Step("get cm applied -o jsonpath={.metadata.labels}", '"tier":"back"', silent="new"),
    Step("label cm --all all=yes", "applied labeled"),
    Step("label cm applied --list", "all=yes"),
    Step("annotate cm applied note='two words'", "applied annotated"),
    Step("get cm applied -o jsonpath={.metadata.annotations.note}", "^two words$"),
    Step("annotate cm applied note=x", code=1, complains="overwrite is false but found"),
    Step("annotate cm applied note-", "applied (un)?annotated"),
    Step("get cm applied -o jsonpath={.metadata.annotations.note}", silent="."),
    Step("set image deploy/site site=site:3", "image updated"),
    Step("set env deploy/site A=b", "env updated"),
    Step("set env deploy/site --list", "A=b"),
    Step("set resources deploy/site --limits=cpu=1,memory=1Gi", "resource requirements updated"),
    Step("set serviceaccount deploy/site default", "serviceaccount updated"),
    Step("set selector svc/site app=other", "selector updated"),
    Step("edit cm applied", "applied edited", editor="sed -i s/pink/white/"),
    Step("get cm applied -o jsonpath={.data.colour}", "^white$"),
    Step("edit deploy site --save-config", "site edited", editor="sed -i s/site:3/site:4/"),
    Step("apply view-last-applied deploy/site", "site:4"),
    Step("edit cm applied", code=1, complains="Invalid|invalid", editor="sed -i s/white/[/"),
    Step("edit cm applied", complains="(?i)cancelled|no changes", editor="true"),
    Step("wait cm/applied --for=jsonpath={.data.colour}=white", "condition met", only="new"),
    Step(f"{PRUNE}allowlist=core/v1/ConfigMap", "one created", stdin=PRUNED, only="new"),
    Step(f"{PRUNE}whitelist=core/v1/ConfigMap", "one created", stdin=PRUNED, only="old"),
    Step(
        f"{PRUNE}allowlist=core/v1/ConfigMap",
        "(?s)two created.+one pruned",
        stdin=PRUNED.replace("one", "two"),
        only="new",
    ),
    Step(
        f"{PRUNE}whitelist=core/v1/ConfigMap",
        "(?s)two created.+one pruned",
        stdin=PRUNED.replace("one", "two"),
        only="old",
    ),
    Step("wait cm/applied --for=condition=Ready --timeout=1s", code=1, complains="timed out"),
)
DELETE = (
    Step("create -f -", "created", stdin=WEB),
    Step("delete deploy site --cascade=foreground --wait=false", 'apps "site" deleted'),
    Step("get deploy site -o jsonpath={.metadata.finalizers}", "foregroundDeletion"),
    Step('patch deploy site -p \'{"metadata":{"finalizers":null}}\'', "site patched"),
    Step("get deploy site", code=1, complains='deployments.apps "site" not found'),
    Step("create deployment two --image=x", "created"),
    Step("delete deploy two --cascade=orphan --wait=false", "deleted"),
    Step("get deploy two -o jsonpath={.metadata.finalizers}", "orphan"),
    Step('patch deploy two --type=merge -p \'{"metadata":{"finalizers":[]}}\'', "patched"),
    Step("create deployment three --image=x", "created"),
    Step("delete deploy three --cascade=background", "deleted"),
    Step("delete deploy three", code=1, complains='"three" not found'),
    Step("delete deploy three --ignore-not-found", silent="three"),
    Step("create -f -", "configmap/held created", stdin=HELD),
    Step("delete cm held --wait=false", 'configmap "held" deleted'),
    Step("get cm held -o jsonpath={.metadata.deletionTimestamp}", r"^\d{4}-\d\d-\d\dT"),
    Step('patch cm held --type=merge -p \'{"metadata":{"finalizers":null}}\'', "patched"),
    Step("wait cm/held --for=delete --timeout=5s", only="new"),
    Step("create cm x --from-literal=a=b", "created"),
    Step("create cm y --from-literal=a=b", "created"),
    Step("label cm x y go=1", "(?s)x labeled.+y labeled"),
    Step("delete cm -l go=1", '(?s)"x" deleted.+"y" deleted'),
    Step("create cm z --from-literal=a=b", "created"),
    Step("delete cm --all --dry-run=server", '"z" deleted'),
    Step("get cm z -o name", "configmap/z"),
    Step("delete cm z --dry-run=client", '"z" deleted'),
    Step("delete cm --field-selector metadata.name=z", '"z" deleted'),
    Step("create cm z --from-literal=a=b", "created"),
    Step("delete --raw /api/v1/namespaces/{ns}/configmaps/z", '"Success"'),
    Step("run p --image=x", "pod/p created"),
    Step("delete pod p --now", 'pod "p" .*deleted'),
    Step("run p --image=x", "pod/p created"),
    Step("delete pod p --force --grace-period=0", 'pod "p" force deleted', complains="(?i)warning"),
    Step("create -f -", "configmap/applied created", stdin=CONFIG),
    Step("delete -f -", 'configmap "applied" deleted', stdin=CONFIG),
    Step("delete svc,cm --all", 'service "site" deleted'),
)
WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.{ns}.example.com}
spec:
  group: "{ns}.example.com"
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How big it is.}
              colour: {type: string, default: grey}
          status:
            type: object
            properties: {size: {type: integer}}
"""
WIDGET = """
apiVersion: "{ns}.example.com/v1"
kind: Widget
metadata: {name: w}
spec: {size: 3}
"""
NO_SIZE = WIDGET.replace("size: 3", "colour: red")
APPLY = "apply -f - --server-side --field-manager="

SERVER_SIDE_APPLY = (
    Step(f"{APPLY}one", "configmap/applied serverside-applied", stdin=CONFIG),
    Step(
        f"{APPLY}two",
        code=1,
        complains='conflict.+"one".+\\.data\\.colour',
        stdin=CONFIG.replace("red", "blue"),
    ),
    Step(
        f"{APPLY}two --force-conflicts",
        "serverside-applied",
        stdin=CONFIG.replace("red", "blue"),
    ),
    Step("get cm applied -o jsonpath={.data.colour}", "^blue$"),
    Step(
        "get cm applied -o jsonpath={.metadata.managedFields[*].manager} --show-managed-fields",
        "two",
        only="new",
    ),
    Step(
        "diff -f - --server-side --field-manager=two --force-conflicts",
        r"\+  colour: green",
        code=1,
        stdin=CONFIG.replace("red", "green"),
    ),
)
CUSTOM_KINDS = (
    Step("apply -f -", "customresourcedefinition.+created", stdin=WIDGETS),
    Step(
        "wait crd/widgets.{ns}.example.com --for=condition=Established --timeout=20s",
        "condition met",
    ),
    Step("create -f -", "widget.+/w created", stdin=WIDGET),
    Step("get wd", r"NAME +SIZE\nw +3"),
    Step("get widget w -o jsonpath={.spec.size}", "^3$"),
    Step("get wd -o wide --show-labels", r"NAME +SIZE +LABELS\nw +3 +<none>"),
    Step("get crd widgets.{ns}.example.com", "widgets.{ns}.example.com"),
    Step("api-resources --api-group={ns}.example.com", r"widgets +wd +\S+/v1 +true +Widget"),
    Step("api-versions", r"^{ns}\.example\.com/v1$"),
    Step("explain widget.spec", "How big it is"),
    Step("describe widget w", r"(?s)Name: +w.+Colour: +grey.+Size: +3"),
    Step("scale widget w --replicas=5", "w scaled"),
    Step("get widget w -o jsonpath={.spec.size}{.spec.colour}", "^5grey$"),
    Step("apply -f -", "w configured", stdin=WIDGET),
    Step("apply -f -", "w unchanged", stdin=WIDGET),
    Step("diff -f -", r"\+  size: 8", code=1, stdin=WIDGET.replace("3", "8")),
    Step("label widget w big=no", "w labeled"),
    Step("edit widget w", "w edited", editor="sed -i s/grey/red/"),
    Step(
        'patch widget w --type=json -p \'[{"op":"test","path":"/spec/colour","value":"red"}]\'',
        "w patched",
    ),
    Step(
        'patch widget w --subresource=status --type=merge -p \'{"status":{"size":3}}\'',
        "w patched",
        only="new",
    ),
    Step("wait widget/w --for=jsonpath={.status.size}=3", "condition met", only="new"),
    Step(f"{APPLY}one", "w serverside-applied", stdin=WIDGET),
    Step(f"{APPLY}two", code=1, complains="\\.spec\\.size", stdin=WIDGET.replace("3", "4")),
    Step(
        'patch widget w --type=merge -p \'{"spec":{"size":0}}\'',
        code=1,
        complains="spec.size.+greater than or equal to 1",
    ),
    Step(
        'patch widget w -p \'{"spec":{"size":4}}\'',
        code=1,
        complains="(?i)not supported|unsupported",
    ),
    Step("create -f -", code=1, complains="size: Required|missing.+size", stdin=NO_SIZE),
    Step("delete widget --all", '"w" deleted'),
    Step("delete crd widgets.{ns}.example.com", "deleted"),
    Step("get wd", code=1, complains="doesn't have a resource type|not find"),
)
SCENES = {
    "create": CREATE,
    "each kind": EACH_KIND,
    "read": READ,
    "change": CHANGE,
    "delete": DELETE,
    "server-side apply": SERVER_SIDE_APPLY,
    "custom kinds": CUSTOM_KINDS,
}
