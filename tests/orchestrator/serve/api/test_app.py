"""The application as a whole: its imports, and its description for programs and people."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from made_host import Client, MadeHost, picture

from orchestrator.serve.api.describe.page import kind_of
from orchestrator.serve.api.errors import STATUSES

ALONE = """
import sys
import orchestrator.serve.api.app
heavy = {"ray", "mlflow", "torch", "torchvision", "sklearn", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(MadeHost())


@pytest.fixture(scope="module")
def document(client) -> dict:
    return client.get("/openapi.json").json()


def test_the_interface_imports_neither_ray_nor_mlflow_nor_torch():
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_description_is_typed(document):
    detect = document["paths"]["/v1/detect"]["post"]
    assert set(detect["requestBody"]["content"]) == {
        *("image/*", "application/octet-stream", "multipart/form-data", "application/json")
    }
    names = ["model", "min_score", "cutoff", "classes", "max_detections", "return"]
    assert [parameter["name"] for parameter in detect["parameters"]] == names
    assert set(detect["responses"]) == {
        *("200", "400", "401", "404", "408", "413", "415", "422", "429", "431", "500", "503")
    }
    shapes = document["components"]["schemas"]
    assert {"label", "class", "score", "class_score", "box", "point"} == set(
        shapes["Detection"]["properties"]
    )
    assert set(map(str, STATUSES.values())) - set(detect["responses"]) == {"405"}


def operations(document: dict) -> list[tuple[str, str, dict]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_error_of_the_description_has_the_one_shape_and_an_example(document):
    for path, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status == "200":
                continue
            content = answer["content"]["application/json"]
            shape, example = (
                ("KServeError" if path.startswith("/v2") else "ErrorBody"),
                content["example"],
            )
            assert content["schema"] == {"$ref": f"#/components/schemas/{shape}"}, (path, status)
            problem = example if path.startswith("/v2") else example["error"]
            assert STATUSES[problem["code"]] == int(status)


def test_names_of_operations_are_unique_and_nothing_leads_elsewhere(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    text = json.dumps(document).replace("http://localhost:8080", "")
    assert "http" not in text.replace("HTTPValidation", "")


def test_the_page_of_the_description_needs_nothing_from_elsewhere(client, document):
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    text = answer.text
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["openapi.json"]
    assert "<script" not in text
    for path, _, _ in operations(document):
        assert f"<code>{path}</code>" in text
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in text
    assert "undefined" not in text


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "format": "binary"}, "string (binary)"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"type": "array", "items": {"$ref": "#/a/Box"}}, "list of Box"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 2}, "[number, number]"),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({}, "anything"),
    ],
)
def test_a_schema_in_words(schema, words):
    assert kind_of(schema) == words


def test_answers_are_of_the_described_shape(client, document):
    """Every field that is answered is described, at any depth."""
    found = client.detect(picture(), **{"return": "boxes,points,map,overlay"}).json()
    shapes = document["components"]["schemas"]

    def check(value, schema) -> None:
        schema = shapes[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if "anyOf" in schema:
            schema = next(s for s in schema["anyOf"] if s != {"type": "null"})
            check(value, schema)
        elif isinstance(value, dict) and "properties" in schema:
            assert set(value) <= set(schema["properties"])
            assert set(schema.get("required", [])) <= set(value)
            for name, one in value.items():
                check(one, schema["properties"][name])
        elif isinstance(value, list) and "items" in schema:
            for one in value:
                check(one, schema["items"])

    check(found, {"$ref": "#/components/schemas/DetectAnswer"})
    assert set(found) == set(shapes["DetectAnswer"]["properties"])
