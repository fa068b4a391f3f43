"""Strict JSON Schemas of what a manifest says to KubeRay, from KubeRay's CRDs.

    python tests/helpers/kuberay_schema.py FOLDER

FOLDER holds rayclusters.yaml, rayjobs.yaml and rayservices.yaml of KubeRay. The manifests in
`examples` are checked against them in full; then what those manifests use is written to
tests/clusters/kuberay.json: names, types and limits of these keys alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from clusters.cluster import load_cluster, parse_cluster

REDUCED = Path(__file__).parents[1] / "clusters/kuberay.json"
_FILES = {"RayCluster": "rayclusters", "RayJob": "rayjobs", "RayService": "rayservices"}
_KEPT = ("type", "enum", "pattern", "minimum", "maximum", "minItems", "required", "format")
_ANY = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"


def examples() -> dict[str, dict[str, Any]]:
    """Manifests that together say all that the kind can say, by what they are."""
    shipped = load_cluster("kubernetes").model_dump(mode="json")
    shipped["workers"]["gpu"] |= {"node_labels": {"gpu": "a100"}, "least": 1}
    more = {
        "cluster": {},
        "queued": {"queue": "night"},
        "secret": {"secrets": ["s3"], "context": "there", "namespace": "wsol"},
        "job": {"runs": "job", "job": ["train", "digits-cam-tiny"], "retries": 2},
        "queued-job": {"runs": "job", "job": ["run"], "queue": "night"},
        "service": {"runs": "service", "service": {"model": "wsol@champion"}},
        "queued-service": {
            "runs": "service",
            "queue": "night",
            "service": {"model": "wsol@champion", "overrides": ["serve.replicas=2"]},
        },
    }
    found = {}
    for name, values in more.items():
        cluster = parse_cluster(yaml.safe_dump({**shipped, **values, "name": name}), name)
        (text,) = cluster.manifest().values()
        found[name] = yaml.safe_load(text)
    return found


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A CRD's schema in which a key that it does not name is an error.

    Kubernetes itself drops such a key without a word.
    """
    found: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get(_INT_OR_STRING):
        found["type"] = ["integer", "string"]
    if "properties" in schema:
        found["properties"] = {name: strict(one) for name, one in schema["properties"].items()}
        if not schema.get(_ANY):
            found["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        found["items"] = strict(schema["items"])
    return found


def of_crd(crd: dict[str, Any]) -> dict[str, Any]:
    """The strict schema of the version that is stored; metadata is Kubernetes' own."""
    (stored,) = (v for v in crd["spec"]["versions"] if v.get("storage"))
    schema = strict(stored["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    schema["properties"]["apiVersion"]["enum"] = [f"{crd['spec']['group']}/{stored['name']}"]
    return schema


def used(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The part of a schema that these values reach."""
    found = dict(schema)
    objects = [value for value in values if isinstance(value, dict)]
    if "properties" in schema:
        names = {name for value in objects for name in value} & set(schema["properties"])
        found["properties"] = {
            name: used(schema["properties"][name], [v[name] for v in objects if name in v])
            for name in sorted(names)
        }
    if "items" in schema:
        items = [item for value in values if isinstance(value, list) for item in value]
        found["items"] = used(schema["items"], items)
    return found


def main(folder: Path) -> None:
    """Check all examples in full, and write what they use."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for manifest in examples().values():
        by_kind.setdefault(manifest["kind"], []).append(manifest)
    reduced = {}
    for kind, manifests in by_kind.items():
        text = (folder / f"{_FILES[kind]}.yaml").read_text(encoding="utf-8")
        schema = of_crd(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        for manifest in manifests:
            jsonschema.validate(manifest, schema)
        reduced[kind] = used(schema, manifests)
    lines = [
        f"{json.dumps(kind)}: {json.dumps(one, sort_keys=True)}" for kind, one in reduced.items()
    ]
    REDUCED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
