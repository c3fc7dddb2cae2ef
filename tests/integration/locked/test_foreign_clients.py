"""Clients of TensorFlow Serving that others wrote, through Envoy, with TLS and their own proofs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nightshift.runtimes import runtimes_root
from tests.integration.locked.doors import KEYS
from tests.integration.locked.host import LockedHost
from tests.integration.release.rig import INPUTS, PIPELINE

PROGRAM = Path(__file__).with_name("foreign_clients.py")


@pytest.fixture(scope="module")
def shown(host: LockedHost, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the clients show: a certificate, or a key."""
    host.admit(
        [
            {"name": "shop", "pipelines": [PIPELINE], "keys": [KEYS["shop"]]},
            {"name": "foreign", "pipelines": [PIPELINE]},
        ]
    )
    folder = tmp_path_factory.mktemp("foreign")
    issued = host.authority.issue(["foreign"], client=True)
    files = {"certificate": issued.certificate, "key": issued.key}
    for name, text in files.items():
        (folder / name).write_text(text)
    return {
        "authority": str(host.authority.certificate),
        "api_key": KEYS["shop"],
        **{name: str(folder / name) for name in files},
    }


@pytest.mark.parametrize("client", ["ovmsclient", "min-tfs-client"])
def test_a_client_of_others_gets_the_models_answer(
    host: LockedHost, shown: dict[str, str], client: str
) -> None:
    url = f"localhost:{host.rig.machine.layout.grpc.port}"
    done = subprocess.run(
        [sys.executable, PROGRAM, client, url, PIPELINE, *map(str, INPUTS)],
        input=json.dumps(shown),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(runtimes_root() / "clients"),
            # Their generated code is older than today's protobuf.
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx(host.served()[1], abs=1e-4)
