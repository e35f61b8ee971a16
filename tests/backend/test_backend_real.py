#!/usr/bin/env python3
"""The libvirt backend against real QEMU guests of the lab.

    test_backend_real.py PATH-OF-backend_watch [test names]

Exit status 77 where the lab cannot run.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
# pylint: disable=wrong-import-position
import aerolab  # noqa: E402

MIB = 1 << 20
# Its balloon takes so long to 160 MiB that it is looked at on its way: 96 MiB were seen to be inflated in 0.1 s.
WEB_2_BYTES = 512 * MIB
DEADLINE_MS = 2000
PERIOD_MS = 200
FIXED_NO, FIXED_NO_DRIVER = 0, 3
RUNNING, PAUSED, MIGRATING = 1, 2, 3
WATCH = sys.argv.pop(1) if len(sys.argv) > 1 else "backend_watch"


class Watch:
    """backend_watch, its lines as dicts."""

    def __init__(self, uri, *globs):
        self.lines, self._changed = [], threading.Condition()
        self._process = subprocess.Popen([WATCH, uri, str(DEADLINE_MS), str(PERIOD_MS), *globs], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()

    def tell(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def mark(self):
        with self._changed:
            return len(self.lines)

    def wait(self, condition, since=0, timeout=20.0):
        """The first line from @since that fulfils @condition; None after @timeout."""
        end, at = time.monotonic() + timeout, since
        with self._changed:
            while True:
                for line in self.lines[at:]:
                    if condition(line):
                        return line
                at = len(self.lines)
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def server(self, name, condition=lambda server: True, since=None, timeout=20.0):
        """The first observed server @name that fulfils @condition, seen from now (or @since) on."""
        line = self.wait(lambda l: l["what"] == "observed" and name in l.get("servers", {})
                         and condition(l["servers"][name]), self.mark() if since is None else since, timeout)
        return line and line["servers"][name]

    def observed(self, since):
        with self._changed:
            return [line for line in self.lines[since:] if line["what"] == "observed"]

    def close(self):
        self._process.stdin.close()
        return self._process.wait(30)


def libvirtd_pid(lab):
    for pid in lab.pids():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.path.basename(words[0]) == b"libvirtd":
            return pid
    raise AssertionError("no libvirtd")


class RealGuests(unittest.TestCase):
    """Four guests of one lab, and one watcher over all tests."""

    @classmethod
    def setUpClass(cls):
        cls.lab = aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.guests = cls.lab.start_guests({
            "web-1": {"memory_bytes": 384 * MIB, "script": "anon:60M", "swap_bytes": 256 * MIB},
            "web-2": {"memory_bytes": WEB_2_BYTES},
            "mute": {"memory_bytes": 256 * MIB, "balloon_driver": False, "stats_period": 1},
            "bare": {"memory_bytes": 256 * MIB, "balloon": False},
        })
        for guest in cls.guests.values():
            guest.wait_ready()
        cls.watch = Watch(cls.lab.uri, "web-*", "mute", "bare")

    @classmethod
    def tearDownClass(cls):
        assert cls.watch.close() == 0
        held = [line["ms"] for line in cls.watch.lines if line["what"] == "held"]
        times = sorted(line["ms"] for line in cls.watch.lines if line["what"] == "observed" and "error" not in line)
        print(f"observations: {len(times)}, median {times[len(times) // 2]:.1f} ms, "
              f"90 % {times[len(times) * 9 // 10]:.1f} ms, longest {times[-1]:.1f} ms; engine thread held: {held}")

    def uuid(self, name):
        return self.guests[name].uuid

    def test_1_discovery_and_statistics(self):
        server = self.watch.server("web-1", lambda s: s["overhead"] and s["available"], since=0)
        self.assertIsNotNone(server)
        self.assertEqual((server["power"], server["fixed"], server["driver"]), (RUNNING, FIXED_NO, "virtio-balloon"))
        self.assertTrue(server["deflates"] and server["reports"] and server["responsive"])
        self.assertEqual(server["maximum"], 384 * MIB)
        self.assertEqual(server["balloon"], 384 * MIB)
        self.assertEqual(server["pid"], self.guests["web-1"].pid)
        self.assertTrue(server["free"] < server["total"] < 384 * MIB)
        self.assertLess(abs(server["update_s"] - time.time()), 5)
        # 60 MiB of data and a kernel are resident; so is QEMU itself, which with this code cache is 40 to 160 MiB.
        self.assertGreater(server["resident"], 100 * MIB)
        self.assertTrue(40 * MIB < server["overhead"] < 160 * MIB, server["overhead"])
        self.assertLess(server["resident"], 384 * MIB + server["overhead"] + 16 * MIB)

    def test_2_without_driver_and_without_device(self):
        mute = self.watch.server("mute")
        self.assertEqual((mute["fixed"], mute["update_s"], mute["available"]), (FIXED_NO, 0, None))
        bare = self.watch.server("bare", lambda s: s["overhead"])
        self.assertEqual((bare["fixed"], bare["driver"]), (FIXED_NO_DRIVER, "none"))
        self.assertEqual(bare["balloon"], bare["maximum"])
        self.watch.tell("target", self.uuid("bare"), 200 * MIB)
        refusal = self.watch.wait(lambda l: l["what"] == "target" and l["id"] == self.uuid("bare"))
        self.assertIn("no balloon", refusal["error"])

    def test_3_balloon_moves_and_is_seen_to(self):
        name, uuid = "web-2", self.uuid("web-2")
        self.watch.tell("period", 20)
        for target in (160 * MIB, WEB_2_BYTES):
            mark = self.watch.mark()
            self.watch.tell("target", uuid, target)
            accepted = self.watch.wait(lambda l: l["what"] == "target" and l["id"] == uuid, mark)
            self.assertEqual(accepted["error"], "")
            self.assertIsNotNone(self.watch.server(name, lambda s, t=target: s["balloon"] == t, mark))
            sizes = [line["servers"][name]["balloon"] for line in self.watch.observed(mark)]
            between = {size for size in sizes if 160 * MIB < size < WEB_2_BYTES}
            print(f"{target // MIB} MiB: accepted in {accepted['ms']:.1f} ms, {len(between)} sizes on the way")
            if target == 160 * MIB:
                self.assertGreaterEqual(len(between), 3)
        self.watch.tell("period", PERIOD_MS)

    def test_4_fresh_statistics(self):
        uuid = self.uuid("web-2")
        mark = self.watch.mark()
        self.watch.tell("fresh", uuid)
        answer = self.watch.wait(lambda l: l["what"] == "fresh" and l["id"] == uuid, mark)
        self.assertEqual(answer["error"], "")
        server = self.watch.server("web-2", lambda s: s["update_s"] and abs(s["update_s"] - time.time()) < 2)
        self.assertIsNotNone(server)

    def test_4b_who_stands_still_is_asked_half_as_often(self):
        def comes_to(**wanted):
            end = time.monotonic() + 10
            while (seen := {name: self.guests[name].stats_period() for name in ("web-1", "mute")}) != wanted:
                self.assertLess(time.monotonic(), end, f"{seen}, not {wanted}")
                time.sleep(0.1)
        uuid = self.uuid("web-1")
        comes_to(**{"web-1": 1, "mute": 1})
        for name in ("web-1", "mute"):
            self.watch.tell("still", self.uuid(name), "on")
        comes_to(**{"web-1": 2, "mute": 1})  # which its operator has chosen
        mark = self.watch.mark()
        self.watch.tell("fresh", uuid)
        self.assertEqual(self.watch.wait(lambda l: l["what"] == "fresh" and l["id"] == uuid, mark)["error"], "")
        comes_to(**{"web-1": 2, "mute": 1})
        other = Watch(self.lab.uri, "web-1")  # as a new daemon, which nobody has told that it stands still
        try:
            comes_to(**{"web-1": 1, "mute": 1})
        finally:
            self.watch.tell("still", uuid, "off")
            self.assertEqual(other.close(), 0)

    def test_5_reset_is_counted(self):
        before = self.watch.server("web-2")
        mark = self.watch.mark()
        self.lab.virsh("reset", "web-2")
        self.assertIsNotNone(self.watch.wait(lambda l: l["what"] == "reset" and l["id"] == self.uuid("web-2"), mark))
        after = self.watch.server("web-2", lambda s: s["boots"] > before["boots"])
        self.assertIsNotNone(after)
        self.assertEqual(after["pid"], before["pid"])
        self.guests["web-2"].wait_ready()

    def test_6_start_and_stop(self):
        before = self.watch.server("web-2")
        self.lab.virsh("destroy", "web-2")
        off = self.watch.server("web-2", lambda s: s["power"] == 0)
        self.assertEqual((off["pid"], off["balloon"], off["maximum"]), (0, None, WEB_2_BYTES))
        self.lab.virsh("start", "web-2")
        on = self.watch.server("web-2", lambda s: s["power"] == RUNNING and s["pid"] and s["update_s"])
        self.assertGreater(on["boots"], before["boots"])
        self.assertNotEqual(on["pid"], before["pid"])
        self.lab.virsh("suspend", "web-2")
        self.assertIsNotNone(self.watch.server("web-2", lambda s: s["power"] == PAUSED))
        self.lab.virsh("resume", "web-2")
        self.assertIsNotNone(self.watch.server("web-2", lambda s: s["power"] == RUNNING))

    def test_6b_nothing_is_asked_of_a_server_that_is_being_saved(self):
        uuid = self.uuid("web-2")
        self.watch.tell("period", 30)
        mark = self.watch.mark()
        with subprocess.Popen(["virsh", "-q", "-c", self.lab.uri, "managedsave", "web-2"]) as save:
            self.assertIsNotNone(self.watch.server("web-2", lambda s: s["power"] == MIGRATING, mark))
            self.watch.tell("target", uuid, 200 * MIB)
            self.watch.tell("still", uuid, "on")
            refusal = self.watch.wait(lambda l: l["what"] == "target" and l["id"] == uuid, mark)
            self.assertTrue(refusal["error"])
            self.watch.tell("still", uuid, "off")
            during = self.watch.mark()
            self.assertEqual(save.wait(60), 0)
        seen = [line["servers"]["web-2"] for line in self.watch.observed(during) if "web-2" in line.get("servers", {})]
        self.assertTrue(seen)
        self.assertTrue(all(server["responsive"] for server in seen), seen)  # nothing of ours waits in it
        self.lab.virsh("start", "web-2", timeout=60)
        self.assertIsNotNone(self.watch.server("web-2", lambda s: s["power"] == RUNNING and s["pid"]))
        # One start is counted once, whether the list or the event is first to tell of it.
        boots = {line["servers"]["web-2"]["boots"] for line in self.watch.observed(mark)}
        self.assertEqual(len(boots), 2, boots)
        self.watch.tell("period", PERIOD_MS)

    def hang(self, names):
        for name in names:
            os.kill(self.guests[name].pid, signal.SIGSTOP)
        self.addCleanup(self.wake, names)

    def wake(self, names):
        for name in names:
            os.kill(self.guests[name].pid, signal.SIGCONT)

    def check_others(self, mark, others, longest_ms):
        """Their facts kept coming."""
        lines = self.watch.observed(mark)
        self.assertTrue(lines and all("error" not in line for line in lines), lines[-1:])
        self.assertLess(max(line["ms"] for line in lines), longest_ms)
        # Those who ask while an observation is under way share its answer: one wait is one moment.
        moments = [line["at"] for line in lines if line["ms"] > 300]
        self.assertLess(max(moments, default=0) - min(moments, default=0), 0.1)
        for name in others:
            self.assertTrue(all(line["servers"][name]["responsive"] for line in lines), name)
            seconds = {line["servers"][name]["update_s"] for line in lines}
            self.assertGreaterEqual(len(seconds), 3, name)

    def test_7_hung_qemu(self):
        mark = self.watch.mark()
        self.hang(["web-1"])
        self.assertIsNotNone(self.watch.server("web-1", lambda s: not s["responsive"]))
        self.watch.tell("target", self.uuid("web-1"), 200 * MIB)
        refusal = self.watch.wait(lambda l: l["what"] == "target" and l["id"] == self.uuid("web-1"), mark)
        self.assertIn("does not answer", refusal["error"])
        time.sleep(4)
        self.check_others(mark, ["web-2"], 1500)
        mark = self.watch.mark()
        self.wake(["web-1"])
        self.assertIsNotNone(self.watch.server("web-1", lambda s: s["responsive"], mark))
        self.watch.tell("target", self.uuid("web-1"), 300 * MIB)
        self.assertIsNotNone(self.watch.server("web-1", lambda s: s["balloon"] == 300 * MIB, mark))

    def test_8_three_hung_at_once(self):
        mark = self.watch.mark()
        hung = ["web-1", "mute", "bare"]
        self.hang(hung)
        for name in ("web-1", "mute"):
            self.assertIsNotNone(self.watch.server(name, lambda s: not s["responsive"]), name)
        time.sleep(4)
        self.check_others(mark, ["web-2"], 2500)
        self.wake(hung)
        for name in hung:
            self.assertIsNotNone(self.watch.server(name, lambda s: s["responsive"]), name)

    def test_9_libvirtd_killed(self):
        before = self.watch.server("web-2", lambda s: s["pid"])
        mark = self.watch.mark()
        self.lab.stop_libvirtd(kill=True)
        lost = self.watch.wait(lambda l: l["what"] == "disconnected", mark)
        self.assertTrue(lost["detail"])
        self.assertIsNotNone(self.watch.wait(lambda l: l["what"] == "observed" and "error" in l, mark))
        time.sleep(2)
        self.lab.start_libvirtd()
        self.assertIsNotNone(self.watch.wait(lambda l: l["what"] == "connected", mark))
        after = self.watch.server("web-2", lambda s: s["available"], mark)
        self.assertEqual((after["id"], after["boots"], after["pid"]), (before["id"], before["boots"], before["pid"]))
        self.assertEqual(len([l for l in self.watch.lines[mark:] if l["what"] == "disconnected"]), 1)

    def test_9b_reset_while_libvirtd_was_away(self):
        guest = self.guests["web-1"]
        guest.set_memory(384 * MIB)
        guest.send("swap on")
        guest.send("anon 450M")
        before = self.watch.server("web-1", lambda s: s["swap_out"], timeout=60)
        self.assertIsNotNone(before)
        mark = self.watch.mark()
        self.lab.stop_libvirtd(kill=True)
        boots = self.boots_of(guest)
        with self.assertRaises(aerolab.LabError):
            guest.send("reboot")
        self.wait_until(lambda: self.boots_of(guest) > boots)
        self.lab.start_libvirtd()
        reset = self.watch.wait(lambda l: l["what"] == "reset" and l["id"] == guest.uuid, mark)
        self.assertIsNotNone(reset)
        self.assertGreater(self.watch.server("web-1")["boots"], before["boots"])

    @staticmethod
    def boots_of(guest):
        return sum(1 for event in list(guest.events) if event.get("event") == "ready")

    def wait_until(self, condition, timeout=60.0):
        end = time.monotonic() + timeout
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_9c_libvirtd_hung(self):
        pid = libvirtd_pid(self.lab)
        mark = self.watch.mark()
        os.kill(pid, signal.SIGSTOP)
        try:
            line = self.watch.wait(lambda l: l["what"] == "observed" and "error" in l, mark)
            self.assertIn("does not answer", line["error"])
        finally:
            os.kill(pid, signal.SIGCONT)
        server = self.watch.server("web-2", lambda s: s["responsive"])
        self.assertIsNotNone(server)
        self.assertIsNotNone(self.watch.server("web-1", lambda s: s["responsive"]))


if __name__ == "__main__":
    try:
        unittest.main(verbosity=2)
    except aerolab.LabUnavailable as error:
        print(f"skipped: {error}")
        sys.exit(77)
