"""What the house asks of every rendering beyond the standards: that its parts fit each other, and the service."""

import re
from collections.abc import Iterator
from pathlib import Path

from rendering import CHARTS, DEPLOY, Rendering, name_of, template_of

# What the service allows itself after server.drain (docs: "exits within 10 s").
STOP_SECONDS = 10
# Of the units that durations have, those that a drain is told in.
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
PORTS = {"http": 8080, "admin": 8081}


def mistakes(rendering: Rendering) -> Iterator[str]:
    yield from labels(rendering)
    for maker, template in rendering.pods():
        for mistake in [*pod(template), *environment(rendering, template), *network(rendering, template)]:
            yield f"{maker}: {mistake}"
    yield from selectors(rendering)


def labels(rendering: Rendering) -> Iterator[str]:
    for thing in rendering.objects:
        if thing["kind"] not in ("Namespace", "Cluster"):
            found = thing["metadata"].get("labels", {})
            if found.get("app.kubernetes.io/name") != "convoke" or "app.kubernetes.io/instance" not in found:
                yield f"{name_of(thing)}: has not the labels that everything has"


def pod(template: dict) -> Iterator[str]:
    spec = template["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        yield "gets a token of its service account"
    if spec.get("serviceAccountName", "default") == "default":
        yield "runs as the default service account"
    if spec.get("enableServiceLinks") is not False:
        yield "gets variables named after services"
    user = spec.get("securityContext", {})
    if [user.get(name) for name in ("runAsUser", "runAsGroup", "fsGroup")] != [65532] * 3:
        yield "does not run as whom the image is made for"
    for container in spec["containers"]:
        if not container["securityContext"].get("readOnlyRootFilesystem"):
            yield "may write to its root"
        resources = container.get("resources", {})
        for amounts in ("requests", "limits"):
            if resources.get(amounts, {}).keys() != {"cpu", "memory", "ephemeral-storage"}:
                yield f"says not all of its {amounts}"
        if "/tmp" not in [mount["mountPath"] for mount in container.get("volumeMounts", [])]:
            yield "has no /tmp"
        for port in container.get("ports", []):
            if PORTS.get(port["name"]) != port["containerPort"]:
                yield f"the port {port['name']} is none of the service"
        command, *rest = container["args"]
        if command == "serve":
            if rest not in ([], ["--role", "api"], ["--role", "worker"]):
                yield f"is started with {rest}"
            probes = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
            for probe, path in probes.items():
                asked = container.get(probe, {}).get("httpGet")
                if asked != {"path": path, "port": "admin"}:
                    yield f"its {probe} asks {asked}"
    for volume in spec.get("volumes", []):
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"the volume {volume['name']} is without a limit"


def environment(rendering: Rendering, template: dict) -> Iterator[str]:
    """Its settings: known ones, each with a source that is there, and time enough to stop."""
    [container] = template["spec"]["containers"]
    maps = {thing["metadata"]["name"]: thing.get("data", {}) for thing in rendering.of_kind("ConfigMap")}
    values = {}
    for source in container.get("envFrom", []):
        name = source["configMapRef"]["name"]
        if name not in maps:
            yield f"there is no ConfigMap {name}"
        values.update(maps.get(name, {}))
    values.update({variable["name"]: variable.get("value") for variable in container.get("env", [])})
    known = known_variables()
    told = (DEPLOY / "README.md").read_text()
    # What somebody says themselves is not ours to tell of.
    own = CHARTS.get(rendering.name, {}).get("settings", {})
    for variable in values:
        if variable.startswith("CONVOKE") and variable not in known:
            yield f"{variable} is no setting"
        setting = variable.removeprefix("CONVOKE__").lower().replace("__", ".")
        section, _, name = setting.partition(".")
        if variable in known and f"`{setting}`" not in told and name not in own.get(section, {}):
            yield f"deploy/README.md does not tell why {setting} is set"
    for variable in known & values.keys():
        if variable.endswith("_FILE"):
            if variable.removesuffix("_FILE") in values:
                yield f"{variable} is said in two ways"
            folder = str(Path(values[variable]).parent)
            if folder not in [mount["mountPath"] for mount in container["volumeMounts"]]:
                yield f"{variable} names a file that is nowhere"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    claims = {claim["metadata"]["name"] for maker in rendering.of_kind("StatefulSet")
              for claim in maker["spec"]["volumeClaimTemplates"] if template_of(maker) is template}
    if mounted != volumes | claims:
        yield f"its volumes {sorted(volumes | claims)} are not those that it mounts: {sorted(mounted)}"
    for name in secrets(template):
        if f"`{name}`" not in told:
            yield f"deploy/README.md does not tell what the Secret {name} is"
    if container["args"][0] == "serve":
        drain = seconds(values["CONVOKE__SERVER__DRAIN"])
        if template["spec"].get("terminationGracePeriodSeconds", 30) < drain + STOP_SECONDS:
            yield "is killed before it has stopped"


def seconds(duration: str) -> float:
    return sum(float(number) * SECONDS[unit] for number, unit in re.findall(r"([\d.]+)\s*([a-z]+)", duration))


def known_variables() -> set[str]:
    reference = (DEPLOY.parent / "docs/configuration.md").read_text()
    return set(re.findall(r"^- variable: `(\w+)`$", reference, re.MULTILINE))


def secrets(template: dict) -> set[str]:
    volumes = [volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume]
    variables = [variable["valueFrom"]["secretKeyRef"]["name"]
                 for container in template["spec"]["containers"]
                 for variable in container.get("env", []) if "valueFrom" in variable]
    return {*volumes, *variables}


def network(rendering: Rendering, template: dict) -> Iterator[str]:
    """Whatever is not allowed is denied, and what every pod needs is allowed."""
    own = template["metadata"]["labels"]
    policies = [policy["spec"] for policy in rendering.of_kind("NetworkPolicy")
                if selects(policy["spec"]["podSelector"], own)]
    denied = [policy["policyTypes"] for policy in policies if not policy.get("ingress") and not policy.get("egress")]
    if ["Ingress", "Egress"] not in denied:
        yield "is not denied everything to begin with"
    out = [rule for policy in policies for rule in policy.get("egress", [])]
    for rule in out:
        if not rule.get("to") or not rule.get("ports"):
            yield "may go everywhere"
        for peer in rule.get("to", []):
            if peer.get("podSelector", {}).get("matchLabels"):
                yield "a peer that Kustomize takes for a pod of ours: matchExpressions are wanted there"
    ports = {port["port"] for rule in out for port in rule["ports"]}
    needs_database = any(volume["name"] == "database" for volume in template["spec"]["volumes"])
    if not {53, *([5432] if needs_database else [])} <= ports:
        yield f"reaches no more than the ports {sorted(ports)}"
    ways_in = [rule for policy in policies for rule in policy.get("ingress", [])]
    for rule in ways_in:
        names = {port["port"] for port in rule.get("ports", [])}
        if names != {"http"} and not (names == {"admin"} and rule.get("from")):
            yield f"the ports {sorted(names)} are open"


def selectors(rendering: Rendering) -> Iterator[str]:
    """Whatever selects pods selects some, and finds there what it asks for."""
    pods = rendering.pods()
    for service in rendering.of_kind("Service"):
        found = [template for _, template in pods if selects({"matchLabels": service["spec"]["selector"]}, template["metadata"]["labels"])]
        ports = {port["name"] for template in found for container in template["spec"]["containers"]
                 for port in container.get("ports", [])}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"{name_of(service)}: no pod has the port {port['targetPort']}"
    owns = [template["metadata"]["labels"] for _, template in pods]
    # What an operator makes of a cluster of its own.
    owns += [{"cnpg.io/cluster": cluster["metadata"]["name"]} for cluster in rendering.of_kind("Cluster")]
    for thing in rendering.of_kind("PodDisruptionBudget", "NetworkPolicy"):
        selector = thing["spec"].get("selector") or thing["spec"]["podSelector"]
        if not any(selects(selector, own) for own in owns):
            yield f"{name_of(thing)}: selects no pod"
    names = {name_of(thing) for thing in rendering.objects}
    for scaler in rendering.of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if f"{target['kind']}/{target['name']}" not in names:
            yield f"{name_of(scaler)}: scales nothing"
        for maker in rendering.of_kind(target["kind"]):
            if maker["metadata"]["name"] == target["name"] and "replicas" in maker["spec"]:
                yield f"{name_of(maker)}: says how many there are, and so does its autoscaler"
    for maker in rendering.of_kind("Deployment", "StatefulSet", "Job"):
        for constraint in template_of(maker)["spec"].get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"], template_of(maker)["metadata"]["labels"]):
                yield f"{name_of(maker)}: is spread by pods of others"
    if rendering.of_kind("ServiceMonitor"):
        [monitor] = rendering.of_kind("ServiceMonitor")
        if not any(selects(monitor["spec"]["selector"], service["metadata"]["labels"]) for service in rendering.of_kind("Service")):
            yield f"{name_of(monitor)}: selects no service"


def selects(selector: dict, own: dict) -> bool:
    if any(own.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    for wanted in selector.get("matchExpressions", []):
        is_among = own.get(wanted["key"]) in wanted["values"]
        if is_among != (wanted["operator"] == "In"):
            return False
    return True
