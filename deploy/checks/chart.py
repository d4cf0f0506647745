"""The chart renders what Kustomize renders, and takes settings as they are said."""

import re
from collections.abc import Iterator
from pathlib import Path

from rendering import Rendering, helm_template, name_of

# What is compared with what.
PAIRS = {
    "chart": "base",
    "chart-sqlite": "sqlite",
    "chart-postgres": "postgres",
    "chart-sqlite-everything": "sqlite-everything",
    "chart-postgres-everything": "postgres-everything",
}
# What the chart has no part in: who makes the namespace, and what is read by programs that look after themselves.
NOT_CHARTED = {"Namespace/convoke", "PrometheusRule/convoke", "ConfigMap/convoke-dashboard"}
# What the program is told where settings are said.
TOLD = {
    "chart-said": {
        "CONVOKE__SERVER__DRAIN": "1m 30s",
        "CONVOKE__SERVER__TRUSTED_PROXIES": "0",
        "CONVOKE__DATABASE__MIGRATE": "auto",
        "CONVOKE__AUTH__ISSUERS": '[{"audience":"convoke","issuer":"https://login.example.org"}]',
        "CONVOKE__SANDBOX__FAULTS": "lostAnswer,retryAfter:3",
        "CONVOKE__LIMITS__CONNECTIONS": "20000",
        "CONVOKE__TRACES__SAMPLE_RATIO": "0.1",
    },
    "chart-sqlite-said": {
        "CONVOKE__SERVER__DRAIN": "5s",
        "CONVOKE__AUTH__FIRST_TOKEN": "true",
    },
}
# Values that can't be taken as they are, by what Helm has to name: a drain that it can't count, and what YAML makes of `off`.
REFUSED = {
    "/settings/server/drain": {"settings": {"server": {"drain": "2min"}}},
    "/settings/database/migrate": {"settings": {"database": {"migrate": False}}},
}


def changed(by_name: dict[str, Rendering]) -> Iterator[str]:
    """The settings that are not what was said."""
    for name, told in TOLD.items():
        [settings] = by_name[name].of_kind("ConfigMap")
        for variable, text in told.items():
            found = settings["data"].get(variable)
            if found != text:
                yield f"{name}: {variable} is {found!r}, not {text!r}"


def taken(program: Path) -> Iterator[str]:
    """The values that should be refused, and are not."""
    for place, values in REFUSED.items():
        finished = helm_template(program, values)
        if finished.returncode == 0 or place not in finished.stderr:
            yield f"{values} is not refused: {finished.stderr.strip()}"


def differences(charted: Rendering, kustomized: Rendering) -> Iterator[str]:
    one, other = comparable(charted), comparable(kustomized)
    for name in sorted(one.keys() | other.keys()):
        if name not in one:
            yield f"{name} is not in the chart"
        elif name not in other:
            yield f"{name} is in the chart alone"
        else:
            yield from (f"{name}{place}" for place in unlike(one[name], other[name]))


def comparable(rendering: Rendering) -> dict[str, dict]:
    """Without what each of the two does in its own way: how pods notice that a setting changed (a name that changes, a
    checksum), and how a job is run anew (its revision, annotations for others)."""
    settings = [thing["metadata"]["name"] for thing in rendering.of_kind("ConfigMap") if "convoke.json" not in thing["data"]]
    suffixes = {name: "convoke" for name in settings}
    for job in rendering.of_kind("Job"):
        suffixes[job["metadata"]["name"]] = re.sub(r"-\d+$", "", job["metadata"]["name"])
        job["metadata"].pop("annotations", None)
    things = [renamed(thing, suffixes) for thing in rendering.objects if name_of(thing) not in NOT_CHARTED]
    for thing in things:
        thing["metadata"].pop("namespace", None)
    for _, template in Rendering(rendering.name, things).pods():
        annotations = template["metadata"].pop("annotations", {})
        if annotations.keys() - {"checksum/settings"}:
            template["metadata"]["annotations"] = annotations
    return {name_of(thing): thing for thing in things}


def renamed(value, names: dict[str, str]):
    if isinstance(value, dict):
        return {key: renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def unlike(one, other, place: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from unlike(one.get(key), other.get(key), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        # Kustomize puts named things in an order of its own.
        by_name = (lambda item: item.get("name", "")) if all_named(one) and all_named(other) else None
        ones, others = (sorted(one, key=by_name), sorted(other, key=by_name)) if by_name else (one, other)
        for index, (first, second) in enumerate(zip(ones, others)):
            yield from unlike(first, second, f"{place}[{index}]")
    elif one != other:
        yield f"{place}: {one!r} in the chart, {other!r} by Kustomize"


def all_named(items: list) -> bool:
    return all(isinstance(item, dict) and "name" in item for item in items)
