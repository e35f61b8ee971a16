"""A host's day in a file: recorded from a live daemon with real guests, and replayed with what it did not have."""

import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import e2e
from e2e import MIB

POOL_BYTES = 1300 * MIB
GUEST_BYTES = 512 * MIB
NAMES = ["idle", "needy"]


def simulate(*arguments):
    done = subprocess.run([e2e.program("aerostat-sim"), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Record(unittest.TestCase):
    """Two guests that fit their pool; one of them grows while it is recorded."""

    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.dir = Path(folder.name)
        cls.file = cls.dir / "day.recording"
        cls.guests = cls.lab.start_guests({name: {} for name in NAMES}, memory_bytes=GUEST_BYTES, stats_period=1,
                                          script="anon:20M")
        for guest in cls.guests.values():
            guest.wait_ready()
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="128M")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, NAMES), 40, "both known")

    def recorder(self, *arguments, **more):
        """aerostat record, running; ends with the case at the latest."""
        process = subprocess.Popen([e2e.program("aerostat"), "--socket", self.daemon.socket, "record",
                                    *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **more)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def lines(self, text):
        """The objects of a recording, checked to be one: a header, then beats that never go back."""
        self.assertTrue(text.endswith("\n"), text[-80:])
        objects = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(objects[0]["aerostat_recording"], 1)
        self.assertEqual(objects[0]["pool_bytes"], POOL_BYTES)
        times = [one["t"] for one in objects[1:]]
        self.assertEqual((times[0], times), (0, sorted(times)))
        self.assertEqual(sorted(objects[1]["servers"]), NAMES, "the first beat has everybody")
        return objects

    def test_ctrl_c_ends_it_well(self):
        process = self.recorder(self.file)
        e2e.wait_until(lambda: self.file.exists() and self.file.read_bytes().count(b"\n") > 4, 15, "no lines")
        self.guests["needy"].send("anon 330M at 60M")
        self.guests["needy"].wait_for(lambda report: report["anon_bytes"] == 330 * MIB, 60)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        self.assertEqual((process.returncode, err), (0, ""), out)
        objects = self.lines(self.file.read_text(encoding="utf-8"))
        for words in ("2 servers", f"{len(objects) - 1} beats", "aerostat-sim"):
            self.assertIn(words, out)
        self.guests["needy"].send("anon 20M")
        # What the guest did is in it, as the guest said it and as the host saw it.
        seen = {}
        for one in objects[1:]:
            for member, value in one.get("servers", {}).get("needy", {}).items():
                seen.setdefault(member, []).append(value)
        self.assertEqual(seen["max"], [GUEST_BYTES])
        self.assertGreater(max(seen["resident"]), min(seen["resident"]) + 200 * MIB)
        self.assertLess(min(seen["avail"]), max(seen["avail"]) - 200 * MIB)
        self.assertGreater(len(seen["sample"]), 5)

    def test_decisions_are_those_of_the_journal(self):
        objects = self.lines(self.file.read_text(encoding="utf-8"))
        began = objects[0]["started"] - 2
        recorded = {(name, move["move"], move["to"]) for one in objects[1:]
                    for name, move in one.get("decisions", {}).items()}
        written = {(one["server"], one["move"], one["to_bytes"])
                   for one in self.daemon.call("journal", limit=1000)["decisions"]
                   if one["move"] != "note" and one["time_us"] / 1e6 >= began}
        self.assertLessEqual(recorded, written | recorded)
        self.assertTrue(recorded, "nothing was decided")
        self.assertTrue(recorded & written, f"recorded {recorded}, journal {written}")

    def test_replayed_as_it_was_nobody_is_short(self):
        status, out, err = simulate(self.file)
        self.assertEqual((status, err), (0, ""), out)
        for words in ("day.recording", "2 servers", "a pool of 1.3 GiB"):
            self.assertIn(words, out)
        for words in ("recorded from", "decisions", "Nobody would have been short"):
            self.assertIn(words, out)
        status, out, err = simulate(self.file, "--json")
        self.assertEqual((status, err), (0, ""), out)
        report = json.loads(out)
        (policy,) = report["policies"]
        self.assertEqual((policy["policy"], policy["oom_kills"], policy["overcommitted_byte_s"]), ("aerostat", 0, 0))
        self.assertGreater(policy["work_percent"], 99)
        self.assertEqual(sorted(server["name"] for server in policy["servers"]), NAMES)

    def test_replayed_with_half_the_memory_somebody_is(self):
        as_it_was = json.loads(simulate(self.file, "--json")[1])["policies"][0]
        status, out, err = simulate(self.file, "--set", "pool=50%", "--json")
        self.assertEqual((status, err), (0, ""), out)
        report = json.loads(out)
        less = report["policies"][0]
        self.assertEqual(report["pool_bytes"], POOL_BYTES // 2)
        self.assertGreater(less["stall_s"], as_it_was["stall_s"] + 1)
        self.assertLess(less["work_percent"], as_it_was["work_percent"])
        self.assertEqual((less["overcommitted_byte_s"], report["as_recorded"]["pool_bytes"]), (0, POOL_BYTES))
        status, out, err = simulate(self.file, "--set", "pool=50%")
        self.assertEqual((status, err), (0, ""), out)
        for words in ("as recorded", "pool=50%", "650 MiB", "held on average", "less work", "needy would have been short"):
            self.assertIn(words, out)

    def test_replayed_with_other_weights(self):
        status, out, err = simulate(self.file, "--set", "pool=60%", "--set", "weight.idle=1000")
        self.assertEqual((status, err), (0, ""), out)
        self.assertIn("Changed: pool=60% weight.idle=1000", out)
        status, out, err = simulate(self.file, "--set", "weight.nobody=5")
        self.assertEqual((status, out, len(err.splitlines())), (1, "", 1))
        self.assertIn("nobody", err)

    def test_what_is_there_is_not_overwritten(self):
        before = self.file.read_bytes()
        process = self.recorder(self.file, "--seconds", 1)
        out, err = process.communicate(timeout=10)
        self.assertEqual((process.returncode, out, len(err.splitlines())), (1, "", 1))
        self.assertIn("--force", err)
        self.assertEqual(self.file.read_bytes(), before)
        other = self.dir / "other"
        other.write_text("mine", encoding="utf-8")
        process = self.recorder(other, "--force", "--seconds", 2, "--json")
        out, err = process.communicate(timeout=15)
        self.assertEqual((process.returncode, err), (0, ""))
        summary = json.loads(out)
        text = other.read_text(encoding="utf-8")
        self.assertEqual((summary["servers"], summary["beats"], summary["size_bytes"], summary["lost"]),
                         (2, len(self.lines(text)) - 1, len(text.encode()), 0))

    def test_standard_output(self):
        process = self.recorder("-", "--seconds", 2)
        out, err = process.communicate(timeout=15)
        self.assertEqual(process.returncode, 0, err)
        self.lines(out)
        self.assertIn("2 servers", err)

    def test_a_full_disk_is_said(self):
        process = self.recorder("/dev/full", "--force", "--seconds", 2)
        out, err = process.communicate(timeout=15)
        self.assertEqual(process.returncode, 1, out)
        self.assertIn("No space left", err)

    def test_a_daemon_that_ends_leaves_a_whole_file(self):
        path = self.dir / "short.recording"
        process = self.recorder(path)
        e2e.wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > 2, 15, "no lines")
        self.assertEqual(self.daemon.stop(), 0)
        out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 1, out)
        self.assertIn("closed the connection", err)
        self.lines(path.read_text(encoding="utf-8"))
        self.assertEqual(simulate(path)[0], 0)


if __name__ == "__main__":
    sys.exit(e2e.main())
