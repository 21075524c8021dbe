"""A hub on loopback with the few calls that huggingface_hub makes to create a repository, upload and download."""

import hashlib
import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class Hub:
    """The repositories of a hub: the files of each commit by repository, and the calls that were made."""

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.stored: dict[str, bytes] = {}  # by their SHA-256, before a commit names them
        self.calls: list[str] = []

    def find(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the identity and the files of a commit; None where there is none."""
        commits = self.commits.get(repository, [])
        return next((commit for commit in reversed(commits) if revision in ("main", commit[0])), None)


def make_handler(hub: Hub, address: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

        def answer(self, content: Any = None, status: int = 200, **headers: str) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def read(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.calls.append(f"{self.command} {self.path}")
            parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
            if len(parts) < 5 or parts[2] != "resolve":
                return self.answer({"error": "no such page"}, 404)
            repository, name = "/".join(parts[:2]), "/".join(parts[4:])
            if repository not in hub.commits:
                return self.answer({}, 404, X_Error_Code="RepoNotFound")
            commit = hub.find(repository, parts[3])
            if commit is None:
                return self.answer({}, 404, X_Error_Code="RevisionNotFound")
            identity, files = commit
            if name not in files:
                return self.answer({}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=identity)
            etag = hashlib.sha256(files[name]).hexdigest()
            return self.answer(files[name], ETag=f'"{etag}"', X_Repo_Commit=identity)

        def do_PUT(self) -> None:
            hub.calls.append(f"PUT {self.path}")
            hub.stored[self.path.rpartition("/")[2]] = self.read()
            self.answer({})

        def do_POST(self) -> None:
            hub.calls.append(f"POST {self.path}")
            path, body = unquote(self.path.partition("?")[0]), self.read()
            if self.headers.get("Authorization") != "Bearer hf_secret":
                return self.answer({"error": "no token"}, 401)
            if path == "/api/validate-yaml":
                return self.answer({"errors": [], "warnings": []})
            if path == "/api/repos/create":
                request = json.loads(body)
                name = "/".join(filter(None, (request.get("organization"), request["name"])))
                exists = name in hub.commits
                hub.commits.setdefault(name, [])
                return self.answer({"url": f"{address[0]}/{name}", "id": name}, 409 if exists else 200)
            if "/preupload/" in path:
                files = json.loads(body)["files"]
                modes = {True: "lfs", False: "regular"}
                plans = [{"path": f["path"], "uploadMode": modes[f["path"].endswith("zip")]} for f in files]
                return self.answer({"files": [{**plan, "shouldIgnore": False} for plan in plans]})
            if path.endswith(".git/info/lfs/objects/batch"):
                objects = json.loads(body)["objects"]
                for entry in objects:
                    place = {"href": f"{address[0]}/store/{entry['oid']}", "header": {}}
                    entry["actions"] = {"upload": place}
                return self.answer({"transfer": "basic", "objects": objects})
            if "/commit/" in path:
                repository = path.removeprefix("/api/models/").partition("/commit/")[0]
                files = {}
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files[value["path"]] = b64decode(value["content"])
                    if line["key"] == "lfsFile":
                        files[value["path"]] = hub.stored[value["oid"]]
                identity = hashlib.sha1(body).hexdigest()
                hub.commits[repository].append((identity, files))
                url = f"{address[0]}/{repository}/commit/{identity}"
                return self.answer({"success": True, "commitOid": identity, "commitUrl": url})
            return self.answer({"error": f"no such call: {path}"}, 404)

    return Handler


@contextmanager
def serve() -> Iterator[tuple[Hub, str]]:
    """Give a hub and its address, as long as it serves."""
    hub, address = Hub(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(hub, address))
    address.append(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, address[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
