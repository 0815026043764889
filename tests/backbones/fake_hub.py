"""A hub on the loopback interface that serves files and refuses as the real one does."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from patience import PATIENCE

from .factories import COMMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSALS = {"GatedRepo": 401, "RepoNotFound": 404, "EntryNotFound": 404}


@dataclass
class FakeHub:
    """What each repository answers: files by name, a refusal, or a status.

    After the first block of a file it waits until `going_on` is set.
    """

    repos: dict[str, dict[str, bytes] | str | int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    block: int = 1 << 16
    going_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, repo: str, filename: str) -> tuple[int, dict[str, str], bytes]:
        content = self.repos.get(repo, "RepoNotFound")
        if isinstance(content, int):
            code = {"X-Error-Code": "GatedRepo"} if content == 403 else {}
            return content, code, b""
        if isinstance(content, str):
            return REFUSALS[content], {"X-Error-Code": content}, b""
        if filename not in content:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b""
        body = content[filename]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(body).hexdigest()}"'}
        return 200, headers, body


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._begin(self._answer())

        def do_GET(self) -> None:
            answer = self._answer()
            self._begin(answer)
            try:
                for start in range(0, len(answer[2]), hub.block):
                    self.wfile.write(answer[2][start : start + hub.block])
                    hub.going_on.wait(PATIENCE)
            except OSError:
                pass  # the client left

        def _answer(self) -> tuple[int, dict[str, str], bytes]:
            repo, of_a_repository, rest = self.path.strip("/").partition("/resolve/main/")
            if not of_a_repository:
                # huggingface_hub also asks for lists of its own, once a day, in some environments.
                return 404, {}, b""
            hub.asked.append(f"{self.command} {repo} {rest}")
            return hub.answer(repo, rest)

        def _begin(self, answer: tuple[int, dict[str, str], bytes]) -> None:
            status, headers, body = answer
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()

    return Handler
