"""An owner's token against a server of somebody else, by every method there is, before a real daemon."""

import json
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import e2e
from aerodaemon import ROOT, Daemon

MIB = 1 << 20
OWN, FOREIGN, UNKNOWN = "alices-1", "bobs-secret-1", "nowhere-1"
NO_NUMBER = 987654
PASSWORDS = {"alice": "correct horse battery", "bob": "staple another horse"}
HOST = """\
<node>
<domain type='test'><name>alices-1</name><uuid>00000000-0000-0000-0000-000000000001</uuid><memory unit='KiB'>262144</memory>
<vcpu>1</vcpu><os><type>hvm</type></os><devices><memballoon model='virtio'/></devices></domain>
<domain type='test'><name>bobs-secret-1</name><uuid>00000000-0000-0000-0000-000000000002</uuid><memory unit='KiB'>262144</memory>
<vcpu>1</vcpu><os><type>hvm</type></os><devices><memballoon model='virtio'/></devices></domain>
</node>
"""
# `name` is an account there, or nobody's business.
NAMES_NO_SERVER = {"user_password"}
# Tried by themselves: one has no answer to compare but a stream, one takes no token.
BY_THEMSELVES = {"events", "login"}


def documented():
    """{method: (for whom, its params)} of docs/control.md."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (any|own|op) \| (.*?) \|", (ROOT / "docs/control.md").read_text(encoding="utf-8"),
                      re.M)
    return {name: (whose, params) for name, whose, params in rows}


def built():
    """The names in the tables of methods."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "src/control").glob("*.c"))
    return {name for text in sources for name in re.findall(r'\{"([a-z_]+)", method_', text)}


def params_for(name):
    """What a method could need, all at once: each takes what it knows."""
    return {"name": name, "ballooning_enabled": False, "weight": 7, "action": "stop", "image": "none", "confirm": name,
            "memory_bytes": 256 * MIB, "minimum_bytes": 64 * MIB, "user": "alice", "label": "x", "role": "owner",
            "password": PASSWORDS["alice"], "id": 1, "bytes": MIB, "for": name, "mode": "observe"}


class Foreign(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="aeroforeign-"))
        cls.addClassCleanup(shutil.rmtree, folder, True)
        (folder / "host.xml").write_text(HOST, encoding="utf-8")
        cls.daemon = Daemon(f"test://{folder}/host.xml", "2GiB", minimum="64MiB")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.wait(lambda: len(cls.daemon.servers()) == 2, 10, "both servers")
        cls.tokens = {}
        for user, server in (("alice", OWN), ("bob", FOREIGN)):
            cls.daemon.call("user_add", name=user, role="owner", password=PASSWORDS[user])
            cls.daemon.call("own", name=server, user=user)
            cls.tokens[user] = cls.daemon.call("token_add", label="test", user=user)
        cls.methods = documented()

    def ask(self, method, params, user="alice", timeout=10.0):
        """The whole answer to a bearer of that user's token."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(self.daemon.socket)
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params,
                       "auth": {"token": self.tokens[user]["token"]}}
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                return json.loads(lines.readline())

    @staticmethod
    def kind(answer):
        return answer["error"]["data"]["kind"] if "error" in answer else None

    def same_refusal(self, kind, method, foreign, unknown):
        """In the same words, whether there is no such thing or it is somebody else's."""
        one, other = self.ask(method, foreign), self.ask(method, unknown)
        self.assertEqual((self.kind(one), self.kind(other)), (kind, kind), (method, one, other))
        said = json.dumps(one["error"])
        self.assertEqual(json.loads(said.replace(FOREIGN, UNKNOWN)), other["error"], method)

    def same_refusal_of_number(self, method, number):
        one, other = self.ask(method, {"id": number}), self.ask(method, {"id": NO_NUMBER})
        self.assertEqual(self.kind(one), "not-found", one)
        message = re.sub(rf"\b{number}\b", str(NO_NUMBER), one["error"].pop("message"))
        self.assertEqual(message, other["error"].pop("message"), method)
        self.assertEqual(one["error"], other["error"], method)

    def state_of_foreign(self):
        server = self.daemon.servers()[FOREIGN]
        return {field: server[field] for field in ("state", "owner", "revision", "weight", "minimum_bytes", "ballooning")}

    def test_every_method_is_documented(self):
        self.assertEqual(set(self.methods), built())
        self.assertGreater(len(self.methods), 30)

    def test_every_method_against_a_foreign_server(self):
        before = self.state_of_foreign()
        reached = {"forbidden": 0, "not-found": 0}
        for method, (whose, params) in self.methods.items():
            if method in BY_THEMSELVES:
                continue
            with self.subTest(method):
                names_server = re.search(r"(^|[ ;])`name`", params) and method not in NAMES_NO_SERVER
                if whose == "op" or (whose == "own" and names_server):
                    kind = "forbidden" if whose == "op" else "not-found"
                    self.same_refusal(kind, method, params_for(FOREIGN), params_for(UNKNOWN))
                    reached[kind] += 1
                else:
                    self.assertNotIn(FOREIGN, json.dumps(self.ask(method, {})), method)
        self.assertGreaterEqual(reached["forbidden"], 12)
        self.assertGreaterEqual(reached["not-found"], 8)
        print(f"# {reached}")
        self.assertEqual(self.state_of_foreign(), before, "something has happened to it")
        self.assertEqual(self.daemon.call("status")["mode"], "manage")

    def test_what_is_not_named_by_its_server(self):
        """Operations, tokens and passwords of others, by their own numbers and names."""
        begun = self.ask("power", {"name": FOREIGN, "action": "stop"}, user="bob")["result"]
        e2e.wait_until(lambda: self.daemon.call("operation", id=begun["id"])["state"] != "running", 15, str(begun))
        self.assertEqual(self.ask("operation", {"id": begun["id"]}, user="bob")["result"]["name"], FOREIGN)
        self.same_refusal_of_number("operation", begun["id"])
        self.same_refusal_of_number("token_revoke", self.tokens["bob"]["id"])
        self.assertEqual(self.kind(self.ask("user_password", {"name": "bob", "password": "a new password"})), "forbidden")
        for method in ("list", "operations", "audit", "journal", "token_list", "status", "images"):
            said = json.dumps(self.ask(method, {}))
            self.assertNotIn(FOREIGN, said, method)
            self.assertNotIn("bob", said, method)
        started = self.ask("power", {"name": FOREIGN, "action": "start"}, user="bob")["result"]
        e2e.wait_until(lambda: self.daemon.call("operation", id=started["id"])["state"] != "running", 30, str(started))
        self.assertNotEqual(self.daemon.servers()[FOREIGN]["state"], "off")

    def test_tokens_and_passwords_for_others(self):
        self.assertEqual(self.kind(self.ask("token_add", {"label": "x", "user": "bob"})), "forbidden")
        self.assertEqual(self.kind(self.ask("token_list", {"user": "bob"})), "forbidden")

    def test_events_of_others_are_not_heard(self):
        heard, ready = [], threading.Event()

        def listen():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(self.daemon.socket)
                connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "events", "params": {},
                                               "auth": {"token": self.tokens["alice"]["token"]}}).encode() + b"\n")
                with connection.makefile("r", encoding="utf-8") as lines:
                    for line in lines:
                        heard.append(line)
                        ready.set()
                        if '"weight":222' in line.replace(" ", ""):
                            return
        ear = threading.Thread(target=listen, daemon=True)
        ear.start()
        self.assertTrue(ready.wait(10))
        self.daemon.call("set", name=FOREIGN, weight=333)
        time.sleep(0.1)
        self.daemon.call("set", name=OWN, weight=222)
        ear.join(10)
        self.assertFalse(ear.is_alive(), "its own server's event is heard")
        self.assertEqual([line for line in heard if FOREIGN in line or '"weight":333' in line.replace(" ", "")], [])

    def test_it_was_seen_by_its_owner(self):
        """The refusals above were the caller's, not the server's: its owner and an operator are answered."""
        self.assertEqual(self.ask("show", {"name": FOREIGN}, user="bob")["result"]["name"], FOREIGN)
        self.assertEqual(self.ask("show", {"name": OWN})["result"]["name"], OWN)
        self.assertEqual(self.daemon.call("show", name=FOREIGN)["owner"], "bob")
        refused = [one for one in self.daemon.call("audit", name=FOREIGN, limit=1000)["entries"] if one["who"] == "alice"]
        self.assertIn("set", {one["action"] for one in refused})
        self.assertNotIn("done", {one["result"] for one in refused})


if __name__ == "__main__":
    sys.exit(e2e.main(needs_lab=False))
