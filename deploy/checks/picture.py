"""Draws the dashboard: runs the service for some minutes under a load that rises and falls, on PostgreSQL, with the sandbox
and with a Telegram on loopback, has Prometheus ask it for its metrics, asks Prometheus what the panels of the dashboard ask,
and draws the answers where Grafana would. `cargo xtask deploy --picture` runs it:
`picture.py --convoke PROGRAM --telegram PROGRAM --database URL --prometheus PROGRAM --to FILE`.
"""

import argparse
import json
import math
import os
import random
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

DASHBOARD = Path(__file__).parent.parent / "components/dashboard/convoke.json"
# How long the service is under load, how often it is asked for its metrics, and over how long rates are taken; in s.
LOAD, SCRAPE, RATE = 240, 2, 20
WRITERS, READERS = 4, 6
# What the picture is made of, in inches; Grafana's grid is 24 columns wide.
COLUMN, ROW = 0.62, 0.3
PAPER, PANEL, TEXT, FAINT = "#111217", "#181b1f", "#d8d9da", "#2f3237"
COLOURS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#5794f2", "#ffb357", "#96d98d", "#ca95e5"]
# No proxy stands between here and loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--convoke", type=Path, required=True)
    parser.add_argument("--telegram", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--prometheus", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    dashboard = json.loads(DASHBOARD.read_text())
    with tempfile.TemporaryDirectory() as folder:
        public, admin, own = (f"127.0.0.1:{free_port()}" for _ in range(3))
        telegram = Telegram(arguments.telegram)
        settings = environment(public, admin) | telegram.settings | {"CONVOKE__DATABASE__URL": arguments.database}
        service = start_service(arguments.convoke, folder, settings, admin)
        prometheus = None
        try:
            token = subprocess.run(
                [arguments.convoke.resolve(), "token", "create", "--tenant", "acme", "--subject", "ann",
                 "--scope", "chats:read,chats:write"],
                cwd=folder, env=settings, capture_output=True, text=True, check=True,
            ).stdout.strip()
            prometheus = start_prometheus(arguments.prometheus, Path(folder), admin, own)
            begun = time.time()
            run_load(f"http://{public}", token, telegram)
            draw(dashboard, own, begun + RATE, time.time(), arguments.to)
        finally:
            for process in (service, prometheus, telegram.process):
                if process is not None:
                    process.terminate()
                    process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(public: str, admin: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "CONVOKE__SERVER__BIND": public,
        "CONVOKE__ADMIN__BIND": admin,
        "CONVOKE__AUTH__FIRST_TOKEN": "false",
        "CONVOKE__LOG__LEVEL": "error,convoke::audit=off",
        # A messenger that takes its time, and that goes wrong now and then.
        "CONVOKE__SANDBOX__DELAY": "30ms",
        "CONVOKE__SANDBOX__FAULTS": "lostAnswer,retryAfter:20,reject,retryAfter:40",
    }


class Telegram:
    """The example of crates/telegram-test-server: it prints settings, and then does what it is told, line by line."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.settings: dict[str, str] = {}
        while "CONVOKE__TELEGRAM__SESSION" not in self.settings:
            words = self.process.stdout.readline().removeprefix("export").split()
            self.settings.update(word.split("=", 1) for word in words)
        # Nobody reads what it answers.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.lock = threading.Lock()

    def tell(self, line: str) -> None:
        with self.lock:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()


def start_service(program: Path, folder: str, settings: dict[str, str], admin: str) -> subprocess.Popen:
    service = subprocess.Popen([program.resolve(), "serve"], cwd=folder, env=settings, stdout=subprocess.DEVNULL)
    until(lambda: OPENER.open(f"http://{admin}/readyz", timeout=5).status == 200)
    return service


def start_prometheus(program: Path, folder: Path, admin: str, own: str) -> subprocess.Popen:
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": f"{SCRAPE}s"},
        "scrape_configs": [{"job_name": "convoke", "static_configs": [{"targets": [admin], "labels": {
            "namespace": "convoke", "instance": "convoke-0"}}]}],
    }))
    prometheus = subprocess.Popen(
        [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={own}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    until(lambda: OPENER.open(f"http://{own}/-/ready", timeout=5).status == 200)
    return prometheus


def until(is_so) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit("nobody answers")
        time.sleep(0.1)


def run_load(service: str, token: str, telegram: Telegram) -> None:
    """Clients that register, join, read and remove; sometimes they ask for what is not there."""
    begun = time.monotonic()
    chats: list[str] = []

    def ask(method: str, path: str, body: dict | None = None, form: dict | None = None) -> dict:
        data = json.dumps(body).encode() if body is not None else urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(path if path.startswith("http") else service + "/api/v1/private" + path, data, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with OPENER.open(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as refused:
            refused.read()
        except ValueError:
            # A page of the sandbox.
            pass
        return {}

    def write(number: int) -> None:
        chance = random.Random(number)
        while wait(chance):
            # An account may make 20 groups a day.
            messenger = "telegram" if chance.random() < 0.01 else "sandbox"
            chat = ask("POST", "/chats", {"title": f"Project {chance.randrange(1000)}", "service": messenger}).get("id")
            if chat is None:
                continue
            chats.append(chat)
            earlier = chance.choice(chats[-50:])
            link = ask("GET", f"/chats/{earlier}/invitation").get("invitation")
            guest = f"guest{chance.randrange(300)}"
            if link and "/sandbox/" not in link:
                telegram.tell(f"join {guest} {link}")
            elif link and chance.random() < 0.6:
                ask("POST", f"{link}/join", form={"username": guest, "firstname": "Guest"})
            people = ask("GET", f"/chats/{earlier}").get("participants", [])
            if len(people) > 1 and chance.random() < 0.2:
                ask("DELETE", f"/chats/{earlier}/participants/{people[-1]['id']}")

    def read(number: int) -> None:
        chance = random.Random(1000 + number)
        while wait(chance):
            for _ in range(3):
                if chats:
                    ask("GET", f"/chats/{chance.choice(chats)}")
            ask("GET", chance.choice(["/chats?size=20", "/chats?isActive=true&sort=title", "/chats?cursor="]))
            if chance.random() < 0.05:
                ask("GET", "/chats/00000000-0000-4000-8000-000000000000")

    def wait(chance: random.Random) -> bool:
        """Whether to go on, after a pause that is shorter while the load is high."""
        gone = time.monotonic() - begun
        level = 0.6 + 0.4 * math.sin(gone / LOAD * 4 * math.pi)
        time.sleep(chance.random() * 0.5 / level)
        return gone < LOAD

    clients = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    clients += [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def asked(prometheus: str, what: str, expression: str, **parameters) -> list[dict]:
    expression = expression.replace("$__rate_interval", f"{RATE}s").replace("$namespace", ".*").replace("[30m]", f"[{LOAD}s]")
    query = urllib.parse.urlencode({"query": expression, **parameters})
    with OPENER.open(f"http://{prometheus}/api/v1/{what}?{query}", timeout=30) as answer:
        return json.loads(answer.read())["data"]["result"]


def draw(dashboard: dict, prometheus: str, begin: float, end: float, to: Path) -> None:
    panels = dashboard["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(24 * COLUMN, height * ROW), facecolor=PAPER)
    for panel in panels:
        place = panel["gridPos"]
        if panel["type"] == "row":
            y = 1 - (place["y"] + 0.7) / height
            figure.text(0.008, y, panel["title"], color=TEXT, fontsize=10, fontweight="bold")
            continue
        # Room for the title above and the legend below.
        axes = figure.add_axes((
            (place["x"] + 0.75) / 24, 1 - (place["y"] + place["h"] - 2.0) / height,
            (place["w"] - 1.1) / 24, (place["h"] - 3.2) / height,
        ), facecolor=PANEL)
        axes.set_title(panel["title"], color=TEXT, fontsize=8.5, loc="left", pad=5)
        if panel["type"] == "stat":
            draw_number(axes, panel, prometheus, end)
        else:
            draw_lines(axes, panel, prometheus, begin, end)
    figure.savefig(to, dpi=80, facecolor=PAPER, metadata={"Software": None})


def draw_number(axes, panel: dict, prometheus: str, at: float) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    frame(axes)
    target = panel["targets"][0]
    found = asked(prometheus, "query", target["expr"], time=at)
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if found and "version" in found[0]["metric"]:
        text = found[0]["metric"]["version"]
    else:
        text = written(float(found[0]["value"][1]), unit) if found else "no data"
    axes.text(0.5, 0.5, text, color=COLOURS[0], fontsize=22, ha="center", va="center", transform=axes.transAxes)


def draw_lines(axes, panel: dict, prometheus: str, begin: float, end: float) -> None:
    frame(axes)
    axes.tick_params(colors=TEXT, labelsize=6.5, length=0)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_xlim(begin, end)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{int(at - begin) // 60}:{int(at - begin) % 60:02}"))
    axes.set_xticks([begin + minutes * 60 for minutes in range(int((end - begin) / 60) + 1)])
    unit = panel["fieldConfig"]["defaults"].get("unit")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    number = 0
    for target in panel["targets"]:
        for series in asked(prometheus, "query_range", target["expr"], start=begin, end=end, step=SCRAPE):
            points = [(at, float(value)) for at, value in series["values"] if not math.isnan(float(value))]
            if not points:
                continue
            name = re.sub(r"{{(\w+)}}", lambda label: series["metric"].get(label.group(1), ""), target["legendFormat"])
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(*zip(*points), color=colour, linewidth=1.1, label=name.strip())
            axes.fill_between(*zip(*points), color=colour, alpha=0.07)
            number += 1
    if number == 0:
        axes.text(0.5, 0.5, "no data", color=TEXT, fontsize=8, ha="center", va="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    axes.set_ylim(bottom=0)
    explain(axes, number)


def explain(axes, number: int) -> None:
    """The legend: below, in two columns where their names are short enough for it."""
    names = axes.get_legend_handles_labels()[1]
    columns = 2 if number > 3 and max(map(len, names)) <= 28 else 1
    shown = axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.12), ncols=columns, fontsize=5.5, frameon=False,
        labelcolor=TEXT, handlelength=1, columnspacing=1, labelspacing=0.25,
    )
    # A legend that is longer than its place is cut, as Grafana scrolls it.
    for label in shown.get_texts()[3 * columns:]:
        label.set_visible(False)
    for handle in shown.legend_handles[3 * columns:]:
        handle.set_visible(False)


def frame(axes) -> None:
    for side in axes.spines.values():
        side.set_color(FAINT)


def written(value: float, unit: str | None) -> str:
    """A number with its unit, as Grafana writes it."""
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    if unit == "s":
        if value == 0:
            return "0 s"
        if abs(value) < 1e-3:
            return f"{value * 1e6:.3g} µs"
        if abs(value) < 1:
            return f"{value * 1e3:.3g} ms"
        return f"{value:.3g} s" if value < 60 else f"{value / 60:.3g} min"
    if unit == "bytes":
        return f"{value / 1024 / 1024:.4g} MiB"
    per_second = {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")
    return f"{value:.4g}{per_second}"


if __name__ == "__main__":
    main()
