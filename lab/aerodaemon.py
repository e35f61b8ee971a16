"""One aerostatd on a Lab: its config, its process, its control socket. For demo, tests and bench."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from labhost import Closing, LabError

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("AEROSTAT_BUILD", ROOT / "build" / "release"))


class ControlError(LabError):
    """An error that the daemon answered with; .kind is one of docs/control.md."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def program(name):
    """The path of one of our programs as built."""
    found = [path for path in BUILD.glob(f"src/*/{name}") if os.access(path, os.X_OK)]
    if not found:
        raise LabError(f"{name} is not built in {BUILD}; run make first")
    return str(found[0])


class Daemon(Closing):
    """aerostatd with a config of its own in a folder of its own, both gone with close()."""

    def __init__(self, uri, pool, mode="manage", slack=None, minimum=None, overhead=None, extra="",
                 wrapper=(), own_group=False):
        self.dir = Path(tempfile.mkdtemp(prefix="aerod-"))
        self.socket = str(self.dir / "control.sock")
        self.log = self.dir / "log"
        # In a process group of its own Ctrl-C in a terminal does not end it before whoever started it; it ends with that.
        self.own_group = own_group
        self.wrapper = [*(("setpriv", "--pdeathsig", "TERM") if own_group else ()), *wrapper]
        self.environment = {}  # more of it, for the next start
        lines = ["[host]", f"pool={pool}", f"mode={mode}"] + ([f"slack={slack}"] if slack else [])
        lines += ["[policy]"] + ([f"minimum={minimum}"] if minimum else [])
        lines += [f"overhead={overhead}"] if overhead else []
        lines += ["[libvirt]", f"uri={uri}", "[control]", f"socket={self.socket}", "[store]",
                  f"path={self.dir / 'store'}", extra]
        self.config = self.dir / "aerostat.conf"
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.process = None
        self.start()

    def start(self, timeout=10.0):
        """Starts it and waits until its socket answers."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, program("aerostatd"), "--config", str(self.config)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**os.environ, **self.environment}, process_group=0 if self.own_group else None)
        end = time.monotonic() + timeout
        while True:
            try:
                return self.call("status")
            except (OSError, LabError):
                if self.process.poll() is not None or time.monotonic() > end:
                    raise LabError(f"aerostatd did not start: {self.log_text()[-500:]}") from None
                time.sleep(0.05)

    def stop(self, kill=False, timeout=20.0):
        """SIGTERM, or SIGKILL; returns the exit status."""
        if self.process is None:
            return None
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise LabError(f"aerostatd did not stop within {timeout} s") from None
        self.process = None
        return status

    def close(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def log_text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def call(self, method, timeout=10.0, **params):
        """One control method; returns its result, or raises ControlError."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(self.socket)
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline() or b"{}")
        if "error" in answer:
            error = answer["error"]
            raise ControlError((error.get("data") or {}).get("kind", "failed"), error["message"])
        if "result" not in answer:
            raise LabError("aerostatd closed the connection")
        return answer["result"]

    def servers(self):
        """{name: server object}"""
        return {server["name"]: server for server in self.call("list")["servers"]}

    def cli(self, *arguments, timeout=20.0):
        """Runs the command line; returns (exit status, stdout, stderr)."""
        done = subprocess.run([program("aerostat"), "--socket", self.socket, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    def wait(self, predicate, timeout=30.0, what="it"):
        """Polls until predicate() is true; returns its value."""
        end = time.monotonic() + timeout
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() > end:
                raise LabError(f"{what} did not happen within {timeout} s; {self.situation()}")
            time.sleep(0.2)

    def situation(self):
        """For messages: who holds what, and the daemon's last words."""
        try:
            rows = [f"{name}: {s['state']} has {s['balloon_bytes']} uses {s['used_bytes']} needs {s['demand_bytes']}"
                    f" ({s['hold'] or s['waiting']})" for name, s in self.servers().items()]
        except (OSError, LabError) as error:
            rows = [str(error)]
        return "; ".join(rows) + " | " + self.log_text()[-300:]

    def make_room(self, name, memory_bytes, timeout=90.0):
        """Reserves room for a server that is about to start and waits until it is there."""
        made = self.wait(lambda: self._reserve(name, memory_bytes), timeout, f"a reservation for {name}")

        def ready():
            return any(one["id"] == made["id"] and one["ready"] for one in self.call("reservations")["reservations"])
        self.wait(ready, timeout, f"room for {name}")

    def _reserve(self, name, memory_bytes):
        """A reservation, or None while the daemon does not know yet what its servers hold."""
        try:
            return self.call("reserve", **{"bytes": memory_bytes, "for": name})
        except ControlError as error:
            if error.kind == "unavailable":
                return None
            raise

    def follow(self, callback):
        """Calls callback(type, data) for every event, on a thread of its own, until the daemon goes."""
        thread = threading.Thread(target=self._follow, args=(callback,), daemon=True)
        thread.start()
        return thread

    def _follow(self, callback):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self.socket)
                connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"events"}\n')
                with connection.makefile("rb") as lines:
                    for line in lines:
                        message = json.loads(line)
                        if message.get("method") == "event":
                            callback(message["params"]["type"], message["params"].get("data"))
        except OSError:
            pass
