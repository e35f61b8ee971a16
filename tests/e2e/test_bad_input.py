"""Wrong configs, wrong words, wrong wishes: one clear line, the right exit status, nothing touched."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import e2e
from e2e import MIB


def run(*arguments):
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False,
                          env={**os.environ, "AEROSTAT_SOCKET": "/nonexistent/aerostat.sock"})
    return done.returncode, done.stdout, done.stderr


class Config(unittest.TestCase):
    """aerostatd with configs that it must refuse."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.config = self.dir / "aerostat.conf"
        self.run_dir, self.store = self.dir / "run", self.dir / "lib" / "store"

    def write(self, lines, store=None):
        """A config whose first line is [host]; @lines follow it."""
        # A socket that nobody listens on: whatever the daemon did, no hypervisor would be touched.
        tail = ["[libvirt]", f"uri=qemu+unix:///system?socket={self.dir}/no-libvirt", "[control]",
                f"socket={self.run_dir / 'control.sock'}", "[store]", f"path={store or self.store}"]
        self.config.write_text("\n".join(["[host]", *lines, *tail]) + "\n", encoding="utf-8")

    def refuse(self, *words, check=False):
        """It must end with status 1 and one line that has all of @words; returns the line."""
        status, out, err = run(e2e.program("aerostatd"), "--config", str(self.config), *(["--check"] if check else []))
        self.assertEqual((status, out), (1, ""), err)
        lines = err.splitlines()
        self.assertEqual(len(lines), 1, err)
        for word in ("aerostatd: ", *words):
            self.assertIn(word, lines[0])
        self.assertFalse(self.run_dir.exists() and any(self.run_dir.iterdir()), "a socket or a lock is left")
        return lines[0]

    def test_what_a_line_may_not_say(self):
        place = f"{self.config}:2: "
        for line, words in {
                "pol=1G": ("pol", "pool"),
                "pool=-1G": ("[host] pool", "-1G", "auto"),
                "pool=much": ("[host] pool", "much", "auto"),
                "pool=0": ("[host] pool", "above 0"),
                "pool=99999999999999999999G": ("[host] pool",),
                "pool=1000T": ("[host] pool", "more than the host's", "at most"),
                "pool=": ("[host] pool", "no value"),
                "mode=watch": ("[host] mode", "watch", "observe", "manage"),
                "slack=80%": ("[host] slack", "50%"),
                "reserve=100%": ("[host] reserve", "write less"),
                "no equals sign": (),
        }.items():
            for check in (False, True):
                with self.subTest(line=line, check=check):
                    self.write([line])
                    self.refuse(place, *words, check=check)
                    self.assertFalse(self.store.parent.exists(), "the store was made")

    def test_a_section_that_is_not_there(self):
        self.write(["pool=1G", "[hots]"])
        self.refuse(f"{self.config}:3: ", "hots", "host")

    def test_a_key_given_twice(self):
        self.write(["pool=1G", "pool=2G"])
        self.refuse(f"{self.config}:3: ", "line 2")

    def test_a_config_that_cannot_be_read(self):
        self.refuse(str(self.config), "No such file", "name a key file")
        self.config.mkdir()
        self.refuse(str(self.config), "name a key file")

    def test_a_config_without_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        self.write(["pool=1G"])
        self.config.chmod(0)
        self.refuse(str(self.config), "Permission denied", "name a key file")

    def test_a_store_that_cannot_be_written_says_what_would_help(self):
        blocked = self.dir / "file"
        blocked.write_text("", encoding="utf-8")
        self.write(["pool=512M"], store=blocked / "store")
        line = self.refuse(str(blocked), "store")
        self.assertIn(f"{self.config}: [store] path", line)
        self.assertIn("may write", line)

    def test_a_store_that_cannot_be_written(self):
        blocked = self.dir / "file"
        blocked.write_text("", encoding="utf-8")
        self.write(["pool=512M"], store=blocked / "store")
        self.refuse("store", str(blocked), "Not a directory")
        self.assertEqual(blocked.read_bytes(), b"")

    def test_a_store_of_somebody_else(self):
        self.store.mkdir(parents=True)
        database = self.store / "aerostat.db"
        database.write_text("not a database, and long enough to tell that\n" * 100, encoding="utf-8")
        before = database.read_bytes()
        self.write(["pool=512M"])
        self.refuse(str(database), "move it away")
        self.assertEqual(database.read_bytes(), before)

    def test_a_store_in_a_folder_without_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        self.store.parent.mkdir(mode=0o500)
        self.write(["pool=512M"])
        self.refuse(str(self.store.parent), "Permission denied")

    def test_check_touches_nothing(self):
        self.write(["pool=512M", "mode=manage"])
        before = sorted(self.dir.rglob("*"))
        status, out, err = run(e2e.program("aerostatd"), "--config", str(self.config), "--check")
        self.assertEqual((status, out, err), (0, f"{self.config}: fine\n", ""))
        self.assertEqual(sorted(self.dir.rglob("*")), before)

    def test_wrong_options(self):
        for arguments in (["--confg", "x"], ["manage"], ["--config"]):
            with self.subTest(arguments=arguments):
                status, out, err = run(e2e.program("aerostatd"), *arguments)
                self.assertEqual((status, out, len(err.splitlines())), (2, "", 1), err)
                self.assertIn("--help", err)


class CommandLine(unittest.TestCase):
    """Exit status 0, 1 and 2 of aerostat, with a daemon that has no hypervisor to talk to."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = e2e.start_daemon("qemu+unix:///system?socket=/nonexistent/libvirt-sock", "512M", "observe")
        cls.addClassCleanup(cls.daemon.close)

    def check(self, wanted, arguments):
        with self.subTest(arguments=arguments):
            status, out, err = self.daemon.cli(*arguments)
            self.assertEqual(status, wanted, out + err)
            if wanted == 0:
                self.assertTrue(out)
                self.assertEqual(err, "")
            else:
                self.assertEqual(out, "")
                self.assertEqual(len(err.splitlines()), 1, err)
                self.assertTrue(err.startswith("aerostat: "), err)

    def test_done_is_0(self):
        for arguments in (["status"], ["list"], ["journal"], ["top", "--once"], ["mode"], ["mode", "observe"],
                          ["--help"], ["help", "set"], ["--version"], ["status", "--json"], ["list", "--json"]):
            self.check(0, arguments)

    def test_failed_is_1(self):
        for arguments in (["show", "nobody"], ["explain", "nobody"], ["set", "nobody", "--weight", "5"],
                          ["journal", "nobody"], ["show", "../../etc/passwd"], ["show", ""]):
            self.check(1, arguments)
        for arguments in (["status"], ["list", "--json"], ["top", "--once"]):
            self.check(1, ["--socket", "/nonexistent/aerostat.sock", *arguments])

    def test_wrong_usage_is_2(self):
        for arguments in ([], ["dance"], ["status", "now"], ["show"], ["set", "x"], ["set", "x", "--weight", "0"],
                          ["set", "x", "--weight", "-1"], ["set", "x", "--minimum", "-5M"], ["set", "x", "--minimum", "x"],
                          ["mode", "watch"], ["journal", "--limit", "0"], ["list", "--colour"], ["--socket"]):
            self.check(2, arguments)

    def test_wrong_requests_do_not_end_the_daemon(self):
        for method, params in (("show", {}), ("dance", {}), ("set", {"name": "x", "weight": -1}),
                               ("set", {"name": 5, "minimum_bytes": "much"}), ("mode", {"mode": "watch"}),
                               ("reserve", {"bytes": -1}), ("journal", {"limit": 10**12}), ("release", {"id": 77})):
            with self.subTest(method=method, params=params), self.assertRaises(e2e.ControlError):
                self.daemon.call(method, **params)
        self.assertEqual(self.daemon.call("status")["servers"], 0)


class Minima(unittest.TestCase):
    """Guests whose minima are more than the pool holds."""

    @classmethod
    def setUpClass(cls):
        problem = e2e.lab_problem()
        if problem:
            raise unittest.SkipTest(problem)
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.guests = cls.lab.start_guests({"one": {}, "two": {}}, memory_bytes=512 * MIB, stats_period=1)
        for guest in cls.guests.values():
            guest.wait_ready()
        cls.daemon = e2e.start_daemon(cls.lab.uri, "1100M", minimum="512M")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, cls.guests), 40, "both known")

    def assert_untouched(self):
        return e2e.balloons(self.guests) == dict.fromkeys(self.guests, 512 * MIB)

    def test_infeasible_minima_are_said_and_nothing_is_touched(self):
        host = e2e.wait_until(lambda: self.daemon.call("status")["state"] == "infeasible" and
                              self.daemon.call("status"), 20, self.daemon.situation)
        self.assertTrue(any("inima" in text and "pool" in text for text in host["problems"]), host["problems"])
        status, out, _ = self.daemon.cli("status")
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("Infeasible"), out)
        self.guests["one"].send("anon 200M at 100M")
        e2e.hold_for(self.assert_untouched, 5, self.daemon.situation)
        moves = [one for one in self.daemon.call("journal", limit=1000)["decisions"] if one["move"] != "note"]
        self.assertEqual(moves, [])

    def test_lower_minima_mend_it(self):
        for name in self.guests:
            self.assertEqual(self.daemon.cli("set", name, "--minimum", "200M")[0], 0)
        e2e.wait_until(lambda: self.daemon.call("status")["state"] == "ok", 30, self.daemon.situation)
        self.assertLessEqual(sum(e2e.balloons(self.guests).values()), 1100 * MIB)

    def test_a_minimum_that_the_pool_cannot_hold_is_refused(self):
        before = self.daemon.servers()["one"]["minimum_bytes"]
        self.assertEqual(self.daemon.cli("set", "two", "--minimum", "500M")[0], 0)
        status, out, err = self.daemon.cli("set", "one", "--minimum", "500M")
        self.assertEqual((status, out, len(err.splitlines())), (1, "", 1), err)
        self.assertIn("missing", err)
        with self.assertRaises(e2e.ControlError) as caught:
            self.daemon.call("set", name="one", minimum_bytes=500 * MIB)
        self.assertEqual(caught.exception.kind, "no-room")
        with self.assertRaises(e2e.ControlError) as caught:
            self.daemon.call("set", name="one", minimum_bytes=513 * MIB)
        self.assertEqual(caught.exception.kind, "invalid")
        self.assertEqual(self.daemon.servers()["one"]["minimum_bytes"], before)
        self.assertNotEqual(self.daemon.call("status")["state"], "infeasible")


if __name__ == "__main__":
    sys.exit(e2e.main(needs_lab=False))
