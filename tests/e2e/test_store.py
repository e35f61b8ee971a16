"""The store when its disk is full, and what people write into it: nothing stops, nothing is lost, nothing is taken for code."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import e2e
from aerodaemon import ControlError, Daemon
from e2e import MIB

HOST = """\
<node>
{domains}
</node>
"""
DOMAIN = """\
<domain type='test'><name>web-{i}</name><uuid>00000000-0000-0000-0000-{i:012}</uuid><memory unit='KiB'>65536</memory>
<vcpu>1</vcpu><os><type>hvm</type></os><devices><memballoon model='virtio'/></devices></domain>
"""
STORE_BYTES = 2 * MIB
# Enough that their history needs new pages at every step.
FULL_SERVERS = 80
# What people, their scripts and their enemies write where a name belongs.
NAMES = ["", " ", "..", "../web-1", "a/b", "web-1\n", "web\t1", "a\"b", "a'b", "'; DROP TABLE accounts; --", "<b>x</b>", "&lt;",
         "%s%n", "x" * 300, "\u202eevil", "-rf", "web-1\u0000", "\ud83d\ude00" * 80]
SIZES = [0, -1, 1 << 63, 1 << 64, 1.5, "1G", None, [], {}, True, 1e300]


def host_of(case, servers):
    folder = Path(tempfile.mkdtemp(prefix="aerostore-"))
    case.addClassCleanup(shutil.rmtree, folder, True)
    domains = "".join(DOMAIN.format(i=i + 1) for i in range(servers))
    (folder / "host.xml").write_text(HOST.format(domains=domains), encoding="utf-8")
    return f"test://{folder}/host.xml"


class Full(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(host_of(cls, FULL_SERVERS), "8GiB", minimum="8MiB", overhead="1MiB")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.stop()
        cls.store = cls.daemon.dir / "store"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STORE_BYTES}", "none", str(cls.store)],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise unittest.SkipTest(f"no small file system can be mounted here: {done.stderr.strip()}")
        cls.addClassCleanup(subprocess.run, ["umount", "-l", str(cls.store)], check=False)
        cls.daemon.start()
        cls.daemon.wait(lambda: len(cls.daemon.servers()) == FULL_SERVERS, 10, "both servers")

    def fill(self):
        with open(self.store / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def problems(self):
        return " ".join(self.daemon.call("status")["problems"])

    def test_it_goes_on_and_says_so(self):
        kept = 200
        self.daemon.call("set", name="web-1", weight=kept)
        # Somebody who reads keeps the log from beginning anew in the room that it has already.
        reader = sqlite3.connect(self.store / "aerostat.db", isolation_level=None)
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM audit").fetchone()
        self.fill()
        with self.assertRaises(ControlError) as caught:
            # A page that is there already may hold some more changes.
            for weight in range(300, 400):
                self.daemon.call("set", name="web-1", weight=weight)
                kept = weight
        self.assertRegex(str(caught.exception), "disk|full|record|written")
        self.assertEqual(self.daemon.servers()["web-1"]["weight"], kept, "what was refused has no effect")
        # Longer than a step of the history, which is gathered meanwhile: that alone is no sign that it can be written.
        beats = self.daemon.call("status")["beats"]
        e2e.wait_until(lambda: self.daemon.call("status")["beats"] >= beats + 13, 30, self.daemon.situation)
        self.assertRegex(self.problems(), "record")
        now = int(time.time())
        self.daemon.call("history", name="web-1", **{"from": now - 60, "to": now})
        self.assertRegex(self.problems(), "record")
        reader.execute("ROLLBACK")
        (self.store / "filler").unlink()
        self.daemon.call("set", name="web-1", weight=777)
        e2e.wait_until(lambda: "record" not in self.problems(), 40, lambda: str(self.daemon.call("status")))
        self.daemon.stop(kill=True)
        self.daemon.start()
        self.daemon.wait(lambda: len(self.daemon.servers()) == FULL_SERVERS, 10, "both servers")
        self.assertEqual(self.daemon.servers()["web-1"]["weight"], 777)

    def test_killed_on_a_full_disk(self):
        self.fill()
        self.daemon.stop(kill=True)
        self.daemon.start()
        self.daemon.wait(lambda: len(self.daemon.servers()) == FULL_SERVERS, 10, "both servers")
        self.assertEqual(self.daemon.servers()["web-1"]["weight"], 777)
        (self.store / "filler").unlink()


class Written(unittest.TestCase):
    """Anything may stand where a name or a size belongs: a clear refusal, and the next question is answered."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(host_of(cls, 2), "1GiB", mode="observe", minimum="32MiB")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.wait(lambda: len(cls.daemon.servers()) == 2, 10, "both servers")

    def asked(self, method, **params):
        """The kind of the refusal, or None when it was accepted."""
        try:
            self.daemon.call(method, **params)
        except ControlError as error:
            self.assertTrue(str(error).isprintable() or "\n" not in str(error), repr(str(error)))
            self.assertLess(len(str(error)), 600)
            return error.kind
        return None

    def test_names_of_servers(self):
        for name in NAMES:
            for method, more in (("show", {}), ("set", {"weight": 5}), ("power", {"action": "stop"}), ("explain", {}),
                                 ("history", {}), ("preview", {"weight": 5}), ("own", {"user": None}),
                                 ("reinstall", {"image": "x", "confirm": name}), ("purge", {"confirm": name})):
                self.assertIn(self.asked(method, name=name, **more), ("not-found", "invalid"), (method, name))
            self.assertIn(self.asked("create", name=name, image="x", memory_bytes=1 << 28), ("not-found", "invalid", "conflict"), name)

    def test_names_of_accounts(self):
        for name in NAMES:
            kind = self.asked("user_add", name=name, role="owner", password="long enough for all")
            self.assertEqual(kind, "invalid", name)
            for method in ("user_remove", "own"):
                self.assertIn(self.asked(method, name=name, user=name), ("not-found", "invalid"), (method, name))
            self.assertIn(self.asked("login", user=name, password=name), ("unauthenticated", "invalid", "rate-limited"), name)
        self.assertEqual(self.daemon.call("user_list")["users"], [])

    def test_labels_and_other_text(self):
        self.daemon.call("user_add", name="alice", role="owner", password="long enough for all")
        for text in NAMES:
            self.asked("token_add", label=text, user="alice")
            self.asked("reserve", **{"bytes": 1 << 20, "for": text})
            self.assertIn(self.asked("mode", mode=text), ("invalid",), text)
            self.assertEqual(self.asked("user_add", name="carol", role=text, password="long enough for all"), "invalid")
        labels = [token["label"] for token in self.daemon.call("token_list", user="alice")["tokens"]]
        self.assertIn("'; DROP TABLE accounts; --", labels, "it is text, and is kept as such")
        self.assertIn("<b>x</b>", labels)
        self.assertEqual([user["name"] for user in self.daemon.call("user_list")["users"]], ["alice"])

    def test_sizes(self):
        for size in SIZES:
            self.assertIn(self.asked("reserve", bytes=size), ("invalid", "no-room"), size)
            if size is not None:
                self.assertIn(self.asked("set", name="web-1", minimum_bytes=size), ("invalid", "no-room"), size)
                self.assertIn(self.asked("set", name="web-1", weight=size), ("invalid",), size)
            self.assertIn(self.asked("create", name="new-1", image="x", memory_bytes=size), ("invalid", "not-found"), size)
        self.assertEqual(self.daemon.servers()["web-1"]["minimum_bytes"], 32 * MIB)

    def test_two_at_once(self):
        """Both have seen the same settings; the second hears that they have changed."""
        seen = self.daemon.servers()["web-2"]["revision"]
        self.assertIsNone(self.asked("set", name="web-2", weight=120, revision=seen))
        self.assertEqual(self.asked("set", name="web-2", weight=130, revision=seen), "conflict")
        self.assertEqual(self.daemon.servers()["web-2"]["weight"], 120)
        self.assertIsNone(self.asked("set", name="web-2", weight=130, revision=seen + 1))


class Many(unittest.TestCase):
    """200 servers are written down without anybody waiting for it."""

    def test_history_of_200(self):
        daemon = Daemon(host_of(type(self), 200), "14GiB", mode="observe", minimum="8MiB", overhead="1MiB")
        self.addCleanup(daemon.close)
        daemon.wait(lambda: len(daemon.servers()) == 200, 20, "200 servers")
        now = int(time.time())

        def written():
            return daemon.call("history", name="web-200", **{"from": now - 60, "to": now + 60})["points"]
        e2e.wait_until(written, 40, daemon.situation, every=1)
        size = sum(path.stat().st_size for path in (daemon.dir / "store").iterdir())
        self.assertLess(size, 16 * MIB, [path.name for path in (daemon.dir / "store").iterdir()])
        self.assertEqual(daemon.call("status")["problems"], [])


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP: a full disk is made by mounting a small one, which needs root")
        raise SystemExit(e2e.SKIPPED)
    raise SystemExit(e2e.main(needs_lab=False))
