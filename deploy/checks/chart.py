"""The chart renders what Kustomize renders."""

import re
from collections.abc import Iterator

from rendering import Rendering, name_of

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
