"""aerostat-web in front of a Daemon, and accounts to log in with. For demo, tests and bench."""

import http.client
import json
import os
import secrets
import socket
import subprocess
import tempfile
import time

from aerodaemon import program
from labhost import Closing, LabError


def free_port():
    """A port of loopback that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Web(Closing):
    """One aerostat-web on loopback; its config and log lie in the daemon's folder."""

    def __init__(self, daemon, port=None, certificate=None, key=None):
        self.daemon, self.port, self.process = daemon, port or free_port(), None
        self.scheme = "https" if certificate else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.log = daemon.dir / f"web-{self.port}.log"
        lines = ["[control]", f"socket={daemon.socket}", "[web]", f"listen=127.0.0.1:{self.port}"]
        if certificate:
            lines += [f"certificate={certificate}", f"key={key}"]
        self.config = daemon.dir / f"web-{self.port}.conf"
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.start()

    def start(self, timeout=10.0):
        # A lab may run as root, where the service has a user of its own.
        rights = ["--allow-root"] if os.geteuid() == 0 else []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([program("aerostat-web"), *rights, "--config", str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + timeout
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise LabError(f"aerostat-web did not start: {self.log_text()[-500:]}") from None
                time.sleep(0.05)

    def close(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def log_text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ask(self, method, path, body=None, headers=None, timeout=10.0):
        """One request; (status, headers, body): the body as JSON where it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = json.dumps(body).encode() if body is not None else None
            more = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, data, {"X-Requested-With": "aerostat", **more, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.headers.get_content_type()
            parsed = json.loads(text) if text and kind.endswith("json") else text
            return answer.status, answer.headers, parsed
        finally:
            connection.close()

    def log_in(self, name, password):
        """The Cookie header of a new session."""
        status, headers, body = self.ask("POST", "/api/v1/session", {"user": name, "password": password})
        if status not in (200, 201, 204):
            raise LabError(f"{name} cannot log in: {status} {body}")
        return {"Cookie": headers["Set-Cookie"].split(";")[0]}


def add_account(daemon, name, role, password=None):
    """An account; returns its password, made up where none is given."""
    password = password or secrets.token_urlsafe(9)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=daemon.dir) as file:
        file.write(password + "\n")
        file.flush()
        status, _, err = daemon.cli("user", "add", name, "--role", role, "--password-file", file.name)
    if status != 0:
        raise LabError(f"account {name}: {err.strip()}")
    return password


def give(daemon, server, owner):
    status, _, err = daemon.cli("own", server, owner)
    if status != 0:
        raise LabError(f"{server} cannot be given to {owner}: {err.strip()}")
