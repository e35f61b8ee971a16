"""A daemon killed 200 times while settings change: what was acknowledged is there, whole, and in the audit."""

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import e2e

KILLS, LIMIT_S = 200, 80


def call(sock, method, params):
    sock.sendall((json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n").encode())
    answer = b""
    while not answer.endswith(b"\n"):
        part = sock.recv(65536)
        if not part:
            raise OSError("closed")
        answer += part
    return json.loads(answer)


class Killed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.socket = self.dir / "socket"
        (self.dir / "conf").write_text(f"[host]\npool=4G\n[libvirt]\nuri=test:///default\n[control]\n"
                                       f"socket={self.socket}\n[store]\npath={self.dir}/state\n", encoding="utf-8")

    def connect(self, daemon):
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(str(self.socket))
                sock.settimeout(5)
                return sock
            except OSError:
                sock.close()
                self.assertIsNone(daemon.poll(), "the daemon did not start")
                time.sleep(0.005)

    def change_until_killed(self, daemon, told, early):
        """
        Settings that belong together, until the daemon is gone; the last revision that was acknowledged. @early: it is killed
        soon after it listens, be anything acknowledged or not.
        """
        with self.connect(daemon) as sock:
            killer = threading.Timer(0.02 + random.random() * 0.25, daemon.send_signal, (signal.SIGKILL,))
            if early:
                killer.start()
            end = time.monotonic() + 20
            try:
                while True:
                    n = (told + 1) % 1000 + 1
                    answer = call(sock, "set", {"name": "test", "minimum_bytes": n << 20, "weight": n})
                    if "result" in answer:
                        told = answer["result"]["revision"]
                        if not killer.ident:
                            killer.start()
                    else:  # it has not looked at its servers yet
                        self.assertLess(time.monotonic(), end, answer)
                        time.sleep(0.005)
            except OSError:
                pass
            self.assertTrue(killer.ident, "the daemon ended by itself")
            killer.join()
        daemon.wait()
        return told

    def check(self, told):
        with sqlite3.connect(self.dir / "state" / "aerostat.db") as base:
            self.assertEqual(base.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            row = base.execute("SELECT minimum_bytes, weight, revision FROM server_settings").fetchone()
            audit = base.execute("SELECT count(*) FROM audit WHERE action = 'set' AND result = 'done'").fetchone()[0]
        base.close()
        minimum, weight, revision = row or (0, 0, 0)
        self.assertEqual(minimum, weight << 20, "half a setting")
        self.assertEqual(revision, audit, "a change without its audit entry, or the other way round")
        self.assertIn(revision, (told, told + 1), "an acknowledged change is missing")
        return revision

    def test_killed_again_and_again(self):
        end, told, kills, late = time.monotonic() + LIMIT_S, 0, 0, 0
        while kills < KILLS and time.monotonic() < end:
            early = random.random() < 0.3
            # pylint: disable-next=consider-using-with
            daemon = subprocess.Popen([e2e.program("aerostatd"), "--config", str(self.dir / "conf")],
                                      stderr=subprocess.DEVNULL)
            told = self.check(self.change_until_killed(daemon, told, early))
            if os.path.exists(self.socket):
                os.unlink(self.socket)
            kills, late = kills + 1, late + (not early)
        self.assertGreaterEqual(told, late)
        print(f"# {told} settings in {kills} kills")


if __name__ == "__main__":
    sys.exit(e2e.main(needs_lab=False))
