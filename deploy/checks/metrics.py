"""What a running service tells Prometheus, as Prometheus' own tool reads it."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PATIENCE_SECONDS = 30


def mistakes(program: Path, promtool: Path) -> Iterator[str]:
    """What `promtool check metrics` has against the metrics of a service that has made a chat."""
    with tempfile.TemporaryDirectory() as folder:
        public, admin = free_address(), free_address()
        own = {"PATH": os.environ["PATH"], "CONVOKE__SERVER__BIND": public, "CONVOKE__ADMIN__BIND": admin}
        log = Path(folder, "log")
        with log.open("w") as written:
            words = [str(program.resolve()), "serve"]
            service = subprocess.Popen(words, env=own, cwd=folder, stdout=subprocess.PIPE, stderr=written, text=True)
        try:
            token = next((line.split()[1] for line in service.stdout if line.startswith("Token: ")), None)
            if token is None:
                yield f"the service does not start: {log.read_text()}"
                return
            until_answered(f"http://{admin}/readyz")
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Prefer": "wait=10"}
            chat = urllib.request.Request(f"http://{public}/api/v1/private/chats", b'{"title": "Measured"}', headers)
            urllib.request.urlopen(chat, timeout=PATIENCE_SECONDS).close()
            told = until_answered(f"http://{admin}/metrics")
        finally:
            service.send_signal(signal.SIGTERM)
            service.communicate(timeout=PATIENCE_SECONDS)
    checked = subprocess.run([promtool, "check", "metrics"], input=told, capture_output=True, check=False)
    yield from (checked.stdout + checked.stderr).decode().splitlines()


def until_answered(url: str) -> bytes:
    """What is there, once it answers 200."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
                return answer.read()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"
