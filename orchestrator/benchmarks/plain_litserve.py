"""An endpoint to measure against: the same model behind LitServe, which only this needs.

python -m orchestrator.benchmarks.plain_litserve MODEL PORT COPIES
"""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

import litserve  # type: ignore[import-untyped]

from orchestrator.benchmarks.plain_fastapi import MODEL_VARIABLE, answer, make_loop


class Detect(litserve.LitAPI):  # type: ignore[misc]
    """A worker with the model."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.loop = make_loop()

    def decode_request(self, request: dict[str, str]) -> bytes:
        """The image file; LitServe takes JSON."""
        return base64.b64decode(request["image"])

    def predict(self, data: bytes) -> dict[str, Any]:
        """Its boxes."""
        return answer(self.loop, data)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


if __name__ == "__main__":
    model, port, copies = sys.argv[1:]
    os.environ[MODEL_VARIABLE] = model
    server = litserve.LitServer(
        Detect(api_path="/v1/detect"), accelerator="cpu", workers_per_device=int(copies), timeout=60
    )
    server.run(host="127.0.0.1", port=int(port), log_level="error", generate_client_file=False)
