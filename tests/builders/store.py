"""A store on S3 that runs on this machine."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

BUCKET = "mea-lab"  # as docs/sharing.md names it
PATIENCE_S = 60


@contextmanager
def start_store(folder: Path) -> Iterator[dict[str, str]]:
    """The environment with which a server of ours, with an empty bucket, is to be had; skipped where it cannot run."""
    if not (find_spec("moto") and find_spec("dvc_s3") and find_spec("flask")):
        pytest.skip("moto[server] or dvc-s3 is missing: pip install -r requirements-s3.txt")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").touch()  # nobody's own settings
    log = (folder / "log").open("w")
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server)
        urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"), timeout=10)
        yield {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
               "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": str(folder / "config")}  # fmt: skip
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def _wait_for(address: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=10)
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, "the store did not start"
            time.sleep(0.1)


def list_objects(store: dict[str, str]) -> list[str]:
    with urllib.request.urlopen(f"{store['AWS_ENDPOINT_URL']}/{BUCKET}?list-type=2", timeout=10) as answer:
        return re.findall("<Key>([^<]+)</Key>", answer.read().decode())
