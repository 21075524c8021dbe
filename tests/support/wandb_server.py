"""A W&B server on the local machine that stores uploads and answers what `wandb.init` and `wandb sync` ask for."""

import json
import re
import threading
import time
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
    """A run as the server holds it."""

    about: dict[str, Any] = field(default_factory=dict)  # display name, group, tags, job type ...
    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)  # streamed files; the client names the place of each line
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
        """Write lines of a streamed file from `offset` on; lines that are already there are replaced."""
        lines = self.lines.setdefault(name, [])
        lines += ["{}"] * (offset - len(lines))
        lines[offset : offset + len(content)] = content


class Server:
    """The runs by their id, and the specifications of workspaces and reports by their kind."""

    def __init__(self) -> None:
        self.runs: dict[str, Uploaded] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.url = ""
        self.silent = False  # whether the server takes connections and answers nothing any more

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL query; a query that this server does not know gets no data."""
        variables = query.get("variables") or {}
        name = query.get("operationName") or re.findall(r"(?:query|mutation) (\w+)", query["query"])[0]
        answers: dict[str, Any] = {
            "Viewer": lambda: {
                "viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
            },
            "ServerFeaturesQuery": lambda: {"serverInfo": {"features": []}},
            "RunResumeStatus": lambda: {"model": self.resume_status(variables["name"])},
            "UpsertBucket": lambda: {"upsertBucket": self.upsert(variables)},
            "CreateRunFiles": lambda: {"createRunFiles": self.places(variables)},
            "GetDefaultEntity": lambda: {"viewer": {"id": "u", "entity": "me"}},
            "GetProjects": lambda: {"models": {"edges": [{"node": PROJECT}], "pageInfo": LAST_PAGE}},
            "UpsertView2": lambda: {"upsertView": {"view": self.keep_view(variables), "inserted": True}},
            "upsertView": lambda: {"upsertView": {"view": self.keep_view(variables), "inserted": True}},
        }
        return answers.get(name, dict)()

    def upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        new = variables["name"] not in self.runs
        run = self.runs.setdefault(variables["name"], Uploaded())
        run.about.update({key: value for key, value in variables.items() if value is not None and key != "config"})
        if variables.get("config"):
            run.config = {key: item["value"] for key, item in json.loads(variables["config"]).items()}
        project = {"id": "p", "name": run.about["project"], "entity": {"id": "e", "name": "me"}}
        about = {
            "id": f"id-{variables['name']}",
            "name": variables["name"],
            "displayName": run.about.get("displayName"),
            "description": None,
            "config": None,
            "sweepName": None,
            "historyLineCount": len(run.lines.get(HISTORY, [])),
            "project": project,
        }
        return {"bucket": about, "inserted": new}

    def keep_view(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Store the specification of a workspace or a report."""
        self.views[variables["type"]] = json.loads(variables["spec"])
        project = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
        return {**variables, "id": "v", "project": project, "updatedAt": PROJECT["createdAt"]}

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

    def places(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload/{variables['run']}/{name}"} for name in variables["files"]
        ]
        return {"runID": variables["run"], "uploadHeaders": [], "files": files}

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
        sent, wandb = self.body(), self.server.wandb
        while wandb.silent:
            time.sleep(0.1)
        with self.server.lock:
            if self.path.startswith("/graphql"):
                self.reply({"data": wandb.answer(json.loads(sent))})
            elif self.path.endswith("/file_stream"):
                wandb.stream(self.path.split("/")[-2], json.loads(sent))
                self.reply({})
            else:
                self.reply({})

    def do_PUT(self) -> None:
        sent = self.body()
        _, _, run, name = unquote(self.path).split("/", 3)
        with self.server.lock:
            self.server.wandb.runs[run].files[name] = sent
        self.reply({})

    def do_GET(self) -> None:
        self.reply({})

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # A client that ends does not close its connection first.
            super().handle_one_request()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def wandb_server() -> Iterator[Server]:
    """Start the server, yield it, and stop it in the end."""
    wandb = Server()
    http_server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads, http_server.wandb, http_server.lock = True, wandb, threading.Lock()
    wandb.url = f"http://127.0.0.1:{http_server.server_port}"
    threading.Thread(target=http_server.serve_forever, daemon=True).start()
    try:
        yield wandb
    finally:
        wandb.silent = False
        http_server.shutdown()
        http_server.server_close()
