"""Every object is what Kubernetes takes: each release since 1.30 that the validator knows of; custom resources are compared
with the schemas of their makers, where those are to be had as a package."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
from rendering import DEPLOY, Rendering, name_of

OLDEST = (1, 30)
# Those of the Prometheus Operator and of the Gateway API, by a script, since their packages are of Node.js.
BY_SCRIPT = {"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}
# Nobody packages the schemas of CloudNativePG.
BY_NOBODY = {"postgresql.cnpg.io/v1"}


def releases() -> list[str]:
    """The releases of Kubernetes, oldest first."""
    schemas = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    known = {tuple(map(int, folder.name.removeprefix("v").split(".")[:2])) for folder in schemas.glob("v*-local")}
    return [f"{major}.{minor}" for major, minor in sorted(known) if (major, minor) >= OLDEST]


def mistakes(renderings: list[Rendering], node: str, packages: Path) -> Iterator[str]:
    custom = []
    seen = set()
    for rendering in renderings:
        for thing in rendering.objects:
            if thing["apiVersion"] in BY_SCRIPT:
                custom.append({"name": f"{rendering.name}: {name_of(thing)}", "thing": thing})
                continue
            text = json.dumps(thing, sort_keys=True)
            if thing["apiVersion"] in BY_NOBODY or text in seen:
                continue
            seen.add(text)
            for release in releases():
                try:
                    kubernetes_validate.validate(thing, release, strict=True)
                except Exception as error:  # one of several kinds, none with an ancestor of its own
                    yield f"{rendering.name}: {name_of(thing)}: Kubernetes {release}: {getattr(error, 'message', error)}"
                    break
    yield from by_script(custom, node, packages)


def by_script(custom: list[dict], node: str, packages: Path) -> Iterator[str]:
    # Packages are looked for beside the script.
    script = packages / "custom_resources.mjs"
    script.write_text((DEPLOY / "checks/custom_resources.mjs").read_text())
    words = [node, str(script)]
    finished = subprocess.run(words, input=json.dumps(custom), capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise SystemExit(f"custom_resources.mjs: {finished.stderr.strip()}")
    yield from finished.stdout.splitlines()
