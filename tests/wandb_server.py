"""A W&B server on loopback that keeps what runs upload: as much as `wandb.init` and `wandb sync` ask of one."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

HISTORY, SUMMARY, EVENTS, LOG = "wandb-history.jsonl", "wandb-summary.json", "wandb-events.jsonl", "output.log"

PROJECT = {
    "id": "p",
    "name": "vaezoo",
    "entityName": "me",
    "createdAt": "2026-01-01T00:00:00",
    "isBenchmark": False,
    "user": None,
}
LAST_PAGE = {"hasNextPage": False, "endCursor": None}


@dataclass
class Uploaded:
    """What the server holds of one run."""

    about: dict[str, Any] = field(default_factory=dict)  # display name, group, tags, job type ...
    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)  # streamed files; a line is at the place it was sent to
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.get(HISTORY, [])]

    @property
    def summary(self) -> dict[str, Any]:
        lines = self.lines.get(SUMMARY)
        return json.loads(lines[-1]) if lines else {}

    def put(self, name: str, offset: int, content: list[str]) -> None:
        lines = self.lines.setdefault(name, [])
        lines += ["{}"] * (offset - len(lines))
        lines[offset : offset + len(content)] = content


class Server:
    """`runs` by their id. Where the run already has lines, those sent to the same places replace them."""

    def __init__(self) -> None:
        self.runs: dict[str, Uploaded] = {}
        self.views: dict[str, dict[str, Any]] = {}  # their specifications, by kind
        self.url = ""

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        given = query.get("variables") or {}
        name = query.get("operationName") or re.findall(r"(?:query|mutation) (\w+)", query["query"])[0]
        known: dict[str, Any] = {
            "Viewer": lambda: {
                "viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
            },
            "ServerFeaturesQuery": lambda: {"serverInfo": {"features": []}},
            "RunResumeStatus": lambda: {"model": self.resume_status(given["name"])},
            "UpsertBucket": lambda: {"upsertBucket": self.upsert(given)},
            "CreateRunFiles": lambda: {"createRunFiles": self.places(given)},
            "GetDefaultEntity": lambda: {"viewer": {"id": "u", "entity": "me"}},
            "GetProjects": lambda: {"models": {"edges": [{"node": PROJECT}], "pageInfo": LAST_PAGE}},
            "UpsertView2": lambda: {"upsertView": {"view": self.keep_view(given), "inserted": True}},
            "upsertView": lambda: {"upsertView": {"view": self.keep_view(given), "inserted": True}},
        }
        return known.get(name, dict)()

    def upsert(self, given: dict[str, Any]) -> dict[str, Any]:
        new = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], Uploaded())
        run.about.update({key: value for key, value in given.items() if value is not None and key != "config"})
        if given.get("config"):
            run.config = {key: item["value"] for key, item in json.loads(given["config"]).items()}
        project = {"id": "p", "name": run.about["project"], "entity": {"id": "e", "name": "me"}}
        about = {
            "id": f"id-{given['name']}",
            "name": given["name"],
            "displayName": run.about.get("displayName"),
            "description": None,
            "config": None,
            "sweepName": None,
            "historyLineCount": len(run.lines.get(HISTORY, [])),
            "project": project,
        }
        return {"bucket": about, "inserted": new}

    def keep_view(self, given: dict[str, Any]) -> dict[str, Any]:
        """A workspace or a report."""
        self.views[given["type"]] = json.loads(given["spec"])
        project = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
        return {**given, "id": "v", "project": project, "updatedAt": PROJECT["createdAt"]}

    def resume_status(self, name: str) -> dict[str, Any]:
        run = self.runs.get(name)
        project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "me"}}
        if run is None:
            return {**project, "bucket": None}

        def tail(file: str) -> str:
            return json.dumps(run.lines.get(file, [])[-1:])

        bucket = {
            "id": f"id-{name}",
            "name": name,
            "summaryMetrics": json.dumps(run.summary),
            "displayName": run.about.get("displayName"),
            "logLineCount": 0,
            "historyLineCount": len(run.lines.get(HISTORY, [])),
            "eventsLineCount": len(run.lines.get(EVENTS, [])),
            "historyTail": tail(HISTORY),
            "eventsTail": tail(EVENTS),
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "tags": run.about.get("tags") or [],
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {**project, "bucket": bucket}

    def places(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{given['run']}/{name}"} for name in given["files"]]
        return {"runID": given["run"], "uploadHeaders": [], "files": files}

    def stream(self, name: str, sent: dict[str, Any]) -> None:
        run = self.runs.setdefault(name, Uploaded())
        for file, piece in (sent.get("files") or {}).items():
            run.put(file, piece.get("offset", 0), piece["content"])
        if sent.get("complete"):
            run.exit_code = sent.get("exitcode")


class Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        sent, told = self.body(), self.server.told
        with self.server.lock:
            if self.path.startswith("/graphql"):
                self.reply({"data": told.answer(json.loads(sent))})
            elif self.path.endswith("/file_stream"):
                told.stream(self.path.split("/")[-2], json.loads(sent))
                self.reply({})
            else:
                self.reply({})

    def do_PUT(self) -> None:
        sent = self.body()
        _, _, run, name = unquote(self.path).split("/", 3)
        with self.server.lock:
            self.server.told.runs[run].files[name] = sent
        self.reply({})

    def do_GET(self) -> None:
        self.reply({})

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # a client that ends does not say goodbye
            super().handle_one_request()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def wandb_server() -> Iterator[Server]:
    told = Server()
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.told, server.lock = True, told, threading.Lock()
    told.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
