"""The program itself, asked what an image has to know: what it links to, and whether it takes the settings of each pod."""

import os
import re
import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from rendering import Rendering

# What the image holds: the C library, and the compiler's, which the Dockerfile copies. Anything else would be missing.
LIBRARIES = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
# What the files of Secrets could hold.
CONTENTS = {
    "/etc/convoke/database/url": "postgres://ann:secret@db/convoke",
    "/etc/convoke/telegram/api-hash": "0123456789abcdef0123456789abcdef",
    # A data centre, its address and port, a key: as Telethon writes it.
    "/etc/convoke/telegram-session/session": "1" + urlsafe_b64encode(
        bytes([2, 149, 154, 167, 51]) + (443).to_bytes(2, "big") + bytes(range(256))
    ).decode(),
    "/etc/convoke/secrets/key": "A" * 43 + "=",
}
# The same for variables that are taken from Secrets.
VALUES = {
    "DATABASE_URL": "postgresql://ann:secret@convoke-db-rw.convoke:5432/convoke",
    "DATABASE_USER": "ann",
    "DATABASE_PASSWORD": "secret",
}


def missing_libraries(program: Path) -> Iterator[str]:
    """What it links to that is not in the image; only Linux has the tool that tells."""
    try:
        said = subprocess.run(["objdump", "-p", program], capture_output=True, text=True, check=True).stdout
    except OSError:
        said = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"NEEDED\s+(?:Shared library: \[)?([^\s\]]+)", said):
        if library not in LIBRARIES and not library.startswith("ld-linux"):
            yield f"the program links to {library}, which is not in the image"


def refused_settings(program: Path, renderings: list[Rendering]) -> Iterator[str]:
    """What `convoke config check` has against the settings of a pod."""
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for path, content in CONTENTS.items():
            files[path] = Path(folder) / path.replace("/", "_")
            files[path].write_text(content)
        for rendering in renderings:
            for maker, template in rendering.pods():
                settings = environment(rendering, template["spec"]["containers"][0])
                for path, file in files.items():
                    settings = {name: value.replace(path, str(file)) for name, value in settings.items()}
                words = [str(program.resolve()), "config", "check"]
                own = {"PATH": os.environ["PATH"], **settings}
                finished = subprocess.run(words, env=own, cwd=folder, capture_output=True, text=True, check=False)
                if finished.returncode != 0:
                    yield f"{rendering.name}: {maker}: {finished.stderr.strip()}"


def environment(rendering: Rendering, container: dict) -> dict[str, str]:
    """The environment of a container, as Kubernetes puts it together."""
    maps = {thing["metadata"]["name"]: thing["data"] for thing in rendering.of_kind("ConfigMap")}
    values = {}
    for source in container["envFrom"]:
        values.update(maps[source["configMapRef"]["name"]])
    for variable in container.get("env", []):
        value = variable.get("value", VALUES.get(variable["name"], ""))
        values[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: values[found.group(1)], value)
    return values
