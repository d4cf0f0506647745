"""Pod Security "restricted", rule by rule, with all of "baseline" below it:
https://kubernetes.io/docs/concepts/security/pod-security-standards/

`MISTAKES` holds a pod for every rule that breaks it; one that passes is a mistake of this file.
"""

from collections.abc import Iterator
from copy import deepcopy

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}


def broken_rules(template: dict) -> Iterator[str]:
    """The rules that pods of this template break."""
    pod = template["spec"]
    containers = [*pod.get("initContainers", []), *pod["containers"], *pod.get("ephemeralContainers", [])]
    of_pod = pod.get("securityContext", {})
    contexts = [of_pod, *(container.get("securityContext", {}) for container in containers)]

    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"host namespaces: {name}"
    for volume in pod.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume types: {kind}"
    for sysctl in of_pod.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctls: {sysctl['name']}"
    for name, profile in template.get("metadata", {}).get("annotations", {}).items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/"):
            if profile != "runtime/default" and not profile.startswith("localhost/"):
                yield f"AppArmor: {profile}"

    for context in contexts:
        if context.get("windowsOptions", {}).get("hostProcess"):
            yield "HostProcess"
        if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
            yield "AppArmor: appArmorProfile"
        selinux = context.get("seLinuxOptions", {})
        if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
            yield "SELinux"
        if context.get("runAsUser") == 0:
            yield "running as non-root user: runAsUser is 0"
        if context.get("seccompProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
            yield "seccomp: unconfined"

    for container in containers:
        yield from of_container(container, of_pod)


def of_container(container: dict, of_pod: dict) -> Iterator[str]:
    context = container.get("securityContext", {})
    capabilities = context.get("capabilities", {})
    if context.get("privileged"):
        yield "privileged containers"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "privilege escalation"
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities: not all are dropped"
    for capability in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"capabilities: {capability}"
    if context.get("procMount", "Default") != "Default":
        yield "/proc mount type"
    if context.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
        yield "running as non-root"
    if "type" not in context.get("seccompProfile", of_pod.get("seccompProfile", {})):
        yield "seccomp: no profile"
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"host ports: {port['hostPort']}"
    handlers = [container.get(probe, {}) for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    for handler in [*handlers, *container.get("lifecycle", {}).values()]:
        if any(handler.get(action, {}).get("host") for action in ("httpGet", "tcpSocket")):
            yield "host probes and lifecycle hooks"


# What makes a good pod break a rule: where, and what stands there then.
MISTAKES = {
    "HostProcess": ("spec.securityContext.windowsOptions", {"hostProcess": True}),
    "host namespaces: hostNetwork": ("spec.hostNetwork", True),
    "host namespaces: hostPID": ("spec.hostPID", True),
    "host namespaces: hostIPC": ("spec.hostIPC", True),
    "privileged containers": ("spec.containers.0.securityContext.privileged", True),
    "capabilities: SYS_TIME": ("spec.containers.0.securityContext.capabilities.add", ["SYS_TIME"]),
    "capabilities: not all are dropped": ("spec.containers.0.securityContext.capabilities", {"drop": ["CHOWN"]}),
    "volume types: hostPath": ("spec.volumes", [{"name": "root", "hostPath": {"path": "/"}}]),
    "volume types: nfs": ("spec.volumes", [{"name": "far", "nfs": {"server": "s", "path": "/"}}]),
    "host ports: 8080": ("spec.containers.0.ports", [{"containerPort": 8080, "hostPort": 8080}]),
    "host probes and lifecycle hooks": ("spec.containers.0.livenessProbe", {"httpGet": {"host": "10.0.0.1", "port": 1}}),
    "AppArmor: appArmorProfile": ("spec.securityContext.appArmorProfile", {"type": "Unconfined"}),
    "AppArmor: unconfined": (
        "metadata.annotations", {"container.apparmor.security.beta.kubernetes.io/convoke": "unconfined"},
    ),
    "SELinux": ("spec.securityContext.seLinuxOptions", {"type": "spc_t"}),
    "/proc mount type": ("spec.containers.0.securityContext.procMount", "Unmasked"),
    "seccomp: unconfined": ("spec.containers.0.securityContext.seccompProfile", {"type": "Unconfined"}),
    "seccomp: no profile": ("spec.securityContext.seccompProfile", {}),
    "sysctls: kernel.msgmax": ("spec.securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    "privilege escalation": ("spec.containers.0.securityContext.allowPrivilegeEscalation", True),
    "running as non-root": ("spec.securityContext.runAsNonRoot", False),
    "running as non-root user: runAsUser is 0": ("spec.containers.0.securityContext.runAsUser", 0),
}


def unnoticed(good: dict) -> Iterator[str]:
    """The rules that are not heeded here: a pod that breaks one passes, or is told to break another."""
    for rule, (place, value) in MISTAKES.items():
        bad = deepcopy(good)
        *path, last = [int(step) if step.isdigit() else step for step in place.split(".")]
        at = bad
        for step in path:
            at = at[step] if isinstance(step, int) else at.setdefault(step, {})
        at[last] = value
        found = list(broken_rules(bad))
        if found != [rule]:
            yield f"a pod that breaks the rule {rule!r} is said to break {found}"
