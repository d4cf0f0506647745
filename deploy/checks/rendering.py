"""What is rendered: each way to install the service, as Kustomize and Helm write it, with the objects in it."""

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
EVERYTHING_FOR_ONE = ["ingress", "telegram", "telegram-session", "oidc", "service-monitor", "alerts", "dashboard"]
EVERYTHING_FOR_MANY = ["http-route", *EVERYTHING_FOR_ONE]

# A name, and what is installed: a folder below deploy/ with components on top.
KUSTOMIZATIONS = {
    "base": ("base", []),
    "sqlite": ("overlays/sqlite", []),
    "postgres": ("overlays/postgres", []),
    "ha": ("overlays/ha", []),
    "sqlite-everything": ("overlays/sqlite", EVERYTHING_FOR_ONE),
    "postgres-everything": ("overlays/postgres", EVERYTHING_FOR_MANY),
    "ha-everything": ("overlays/ha", EVERYTHING_FOR_MANY),
}

# The same for the chart: a name, and the values that are said.
CHARTS = {
    "chart": {},
    "chart-sqlite": {"sqlite": {"enabled": True}},
    "chart-postgres": {"migrateByJob": True, "api": {"autoscaling": {"enabled": True}}},
    "chart-digest": {"image": {"digest": f"sha256:{'0' * 64}"}},
    "chart-postgres-everything": {
        "migrateByJob": True,
        "api": {"autoscaling": {"enabled": True}},
        "telegram": {"enabled": True, "apiId": 12345, "session": True},
        "networkPolicies": {"oidc": True},
        "ingress": {"enabled": True},
        "httpRoute": {"enabled": True},
        "serviceMonitor": {"enabled": True},
    },
    "chart-sqlite-everything": {
        "sqlite": {"enabled": True},
        "telegram": {"enabled": True, "apiId": 12345, "session": True},
        "networkPolicies": {"oidc": True},
        "ingress": {"enabled": True},
        "serviceMonitor": {"enabled": True},
    },
    # What is said stays as it is said, where the chart would have it otherwise too.
    "chart-said": {
        "settings": {
            "server": {"drain": "1m 30s", "trusted_proxies": 0},
            "database": {"migrate": "auto"},
            "auth": {"issuers": [{"issuer": "https://login.example.org", "audience": "convoke"}]},
            "sandbox": {"faults": ["lostAnswer", "retryAfter:3"]},
            "limits": {"connections": 20000},
            "traces": {"sample_ratio": 0.1},
        },
        "migrateByJob": True,
        "ingress": {"enabled": True},
    },
    "chart-sqlite-said": {
        "settings": {"server": {"drain": "5s"}, "auth": {"first_token": True, "issuers": []}},
        "sqlite": {"enabled": True},
    },
}


@dataclass
class Rendering:
    """What one way to install the service comes to."""

    name: str
    objects: list[dict]

    def of_kind(self, *kinds: str) -> list[dict]:
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def pods(self) -> list[tuple[str, dict]]:
        """The pods that it makes: who makes them, and what they are made from."""
        makers = self.of_kind("Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob")
        return [(name_of(maker), template_of(maker)) for maker in makers]


def name_of(thing: dict) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"


def template_of(maker: dict) -> dict:
    spec = maker["spec"]
    return spec["jobTemplate"]["spec"]["template"] if maker["kind"] == "CronJob" else spec["template"]


def kustomize(kubectl: Path, name: str) -> Rendering:
    """Renders a kustomization; the components come on top, as in an overlay of one's own."""
    folder, components = KUSTOMIZATIONS[name]
    with tempfile.TemporaryDirectory(dir=DEPLOY.parent / "target") as own:
        up = Path("../../deploy")
        own_kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [str(up / folder)],
            "components": [str(up / "components" / component) for component in components],
        }
        # The namespace of an overlay does not reach what is put on top of it.
        if components:
            own_kustomization["namespace"] = "convoke"
        Path(own, "kustomization.yaml").write_text(yaml.safe_dump(own_kustomization))
        return Rendering(name, load(output([kubectl, "kustomize", own])))


def of_readme(kubectl: Path) -> Rendering:
    """Renders the overlay that README.md tells its readers to write."""
    told = (DEPLOY / "README.md").read_text()
    [written] = re.findall(r"^# my-convoke/kustomization.yaml\n(.+?)^```$", told, re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory(dir=DEPLOY.parent / "target") as own:
        text = written.replace("../deploy", "../../deploy").replace("sha256:…", f"sha256:{'0' * 64}")
        Path(own, "kustomization.yaml").write_text(text)
        return Rendering("README.md", load(output([kubectl, "kustomize", own])))


def helm(program: Path, name: str) -> Rendering:
    """Renders the chart with the values of this name."""
    return Rendering(name, load(output_of(helm_template(program, CHARTS[name]))))


def helm_template(program: Path, values: dict) -> subprocess.CompletedProcess:
    """What Helm says of the chart with these values, as `helm install convoke` would."""
    words = [program, "template", "convoke", DEPLOY / "chart", "--namespace", "convoke", "--values", "-"]
    return run(words, json.dumps(values))


def output(words: list) -> str:
    return output_of(run(words))


def run(words: list, text: str = "") -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True, check=False)


def output_of(finished: subprocess.CompletedProcess) -> str:
    if finished.returncode != 0:
        raise SystemExit(f"{' '.join(finished.args)}: {finished.stderr.strip()}")
    return finished.stdout


def load(text: str) -> list[dict]:
    return [thing for thing in yaml.safe_load_all(text) if thing]
