"""Ballooning off and on again, power, room and reservations: on real guests, by the command line that people use."""

import json
import random
import re
import shutil
import signal
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree
from pathlib import Path

import e2e
from e2e import MIB

GUEST_BYTES = 384 * MIB
# Three guests of 384 MiB with their QEMUs do not fit whole.
# What a QEMU without KVM holds beyond its guest, with all that it has translated.
OVERHEAD_BYTES = 216 * MIB
POOL_BYTES = 1550 * MIB
NAMES = ("web-1", "db-1", "shop-1")
KILLS = 12
IMAGE = """\
[image]
title = A small Linux
minimum = 128MiB
kernel = {image}/vmlinuz
initramfs = {image}/initramfs.gz
command-line = console=ttyS0 quiet psi=1 mitigations=off panic=1
"""


class Ballooning(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.images = Path(tempfile.mkdtemp(prefix="aeroimg-"))
        cls.addClassCleanup(shutil.rmtree, cls.images, True)
        (cls.images / "small.conf").write_text(IMAGE.format(image=cls.lab.image), encoding="utf-8")
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="96M", overhead=f"{OVERHEAD_BYTES // MIB}M", extra=f"[images]\npath={cls.images}")
        cls.addClassCleanup(cls.daemon.close)
        cls.guests = {}
        for name in NAMES:
            cls.daemon.make_room(name, GUEST_BYTES)
            cls.guests[name] = cls.lab.start_guest(name, GUEST_BYTES, stats_period=1, script="anon:40M")
            cls.guests[name].wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, NAMES), 60, "all known")

    def server(self, name="web-1"):
        return self.daemon.servers()[name]

    def well(self, *arguments, timeout=120.0):
        status, out, err = self.daemon.cli(*arguments, timeout=timeout)
        self.assertEqual((status, err), (0, ""), out)
        return out

    def refused(self, *arguments, timeout=60.0):
        status, out, err = self.daemon.cli(*arguments, timeout=timeout)
        self.assertEqual(status, 1, out + err)
        return err

    def in_state(self, state, name="web-1", seconds=60):
        e2e.wait_until(lambda: self.server(name)["ballooning"]["state"] == state, seconds,
                       lambda: f"{name} is not {state}: {self.server(name)}; {self.daemon.situation()}")

    def balloon_model(self, name="web-1"):
        tree = xml.etree.ElementTree.fromstring(self.lab.virsh("dumpxml", name))
        return tree.find("./devices/memballoon").get("model")

    def check_pool(self):
        status = self.daemon.call("status")
        self.assertLessEqual(status["committed_bytes"], status["pool_bytes"], self.daemon.situation())
        self.assertEqual(status["over_seconds"], 0, self.daemon.situation())

    # ---- off

    def test_squeezed_to_begin_with(self):
        e2e.wait_until(lambda: sum(self.server(name)["balloon_bytes"] for name in NAMES) < 3 * GUEST_BYTES - 64 * MIB, 60,
                       self.daemon.situation)
        self.assertEqual(self.server()["ballooning"]["state"], "on")

    def test_off_is_pending_and_pinned(self):
        out = self.well("ballooning", "web-1", "off")
        self.assertIn("restart", out)
        self.in_state("off-pending-restart", seconds=10)
        self.assertEqual(self.balloon_model(), "virtio", "nothing is done to the device before the restart")
        # Its memory comes back as the pool allows, and none of it is taken any more.
        e2e.wait_until(lambda: self.server()["balloon_bytes"] >= GUEST_BYTES - MIB, 60, self.daemon.situation)
        self.check_pool()
        self.guests["shop-1"].send("anon 200M at 100M")
        held = self.server()["balloon_bytes"]
        e2e.hold_for(lambda: self.server()["balloon_bytes"] >= held and self.server()["target_bytes"] >= held, 6,
                     self.daemon.situation)
        self.guests["shop-1"].send("anon 40M")

    def test_a_reboot_within_does_not_apply_it(self):
        boots = self.guests["web-1"].report["boot_id"] if "boot_id" in self.guests["web-1"].report else None
        self.guests["web-1"].reset()
        e2e.wait_until(lambda: self.server()["state"] in ("rebooting", "starting"), 15, lambda: str(self.server()))
        e2e.wait_until(lambda: e2e.all_running(self.daemon, ["web-1"]), 60, self.daemon.situation)
        self.assertEqual(self.server()["ballooning"]["state"], "off-pending-restart", boots)
        self.assertIn("reboot inside", self.server()["ballooning"]["sentence"])
        self.assertEqual(self.balloon_model(), "virtio")

    def test_restart_applies_it(self):
        out = self.well("restart", "web-1", "--timeout", "4")
        self.assertIn("web-1", out)
        self.in_state("off")
        server = e2e.wait_until(lambda: self.server() if self.server()["state"] == "running" else None, 30, self.daemon.situation)
        self.assertEqual(self.balloon_model(), "none")
        self.assertEqual((server["fixed"], server["balloon_bytes"]), ("disabled-by-owner", GUEST_BYTES))
        self.assertEqual(server["committed_bytes"], GUEST_BYTES + server["overhead_bytes"])
        pid = e2e.cli_json(self, self.daemon, "show", "web-1")["details"]["pid"]
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        self.assertGreaterEqual(pages * 4096, GUEST_BYTES, "its memory is resident from the start")
        self.check_pool()

    def test_the_others_are_squeezed_and_it_is_not(self):
        began = time.time()
        needy = self.guests["shop-1"]
        needy.send("anon 180M at 100M")
        needy.wait_for(lambda report: report["anon_bytes"] == 180 * MIB, 60)
        e2e.wait_until(lambda: self.server("shop-1")["short_bytes"] == 0, 30, self.daemon.situation)
        self.assertEqual(self.server()["balloon_bytes"], GUEST_BYTES)
        moved = {decision["server"] for decision in self.daemon.call("journal", limit=200)["decisions"]
                 if decision["move"] != "note" and decision["time_us"] / 1e6 > began}
        self.assertNotIn("web-1", moved)
        self.assertEqual(needy.report["oom_kill"], 0)
        needy.send("anon 40M")
        self.check_pool()

    def test_on_again(self):
        self.assertIn("restart", self.well("ballooning", "web-1", "on"))
        self.in_state("on-pending-restart", seconds=10)
        self.assertEqual(self.balloon_model(), "none")
        self.well("restart", "web-1", "--timeout", "4")
        self.in_state("on")
        self.assertEqual(self.balloon_model(), "virtio")
        e2e.wait_until(lambda: e2e.all_running(self.daemon, ["web-1"]), 60, self.daemon.situation)
        self.assertIsNone(self.server()["fixed"])
        self.check_pool()

    def test_restarted_while_libvirtd_is_away(self):
        """libvirtd is gone when the server is to be stopped, and comes back: so does the server."""
        pid = self.guests["web-1"].pid
        answer = []
        caller = threading.Thread(target=lambda: answer.append(self.daemon.cli("restart", "web-1", "--timeout", "4", timeout=120)))
        caller.start()
        time.sleep(1.5)
        self.lab.stop_libvirtd(kill=True)
        try:
            time.sleep(5)
        finally:
            self.lab.start_libvirtd()
        caller.join()
        self.assertEqual((answer[0][0], answer[0][2]), (0, ""), answer)
        self.daemon.wait(lambda: e2e.all_running(self.daemon, NAMES), 60, "all known again")
        self.assertNotEqual(self.guests["web-1"].pid, pid)
        self.in_state("on")
        self.check_pool()

    # ---- room

    def test_a_restart_that_does_not_fit_stops_nothing(self):
        """With the others' minima as large as they are, all of its memory has no room."""
        for name in ("db-1", "shop-1"):
            self.well("set", name, "--minimum", "300M")
        self.well("ballooning", "web-1", "off")
        pid = self.guests["web-1"].pid
        err = self.refused("restart", "web-1", "--timeout", "4")
        missing = re.search(r"(\d+) bytes", err)
        self.assertTrue(missing and int(missing.group(1)) > 0, err)
        self.assertEqual(self.guests["web-1"].pid, pid, "it was not stopped")
        self.assertEqual(self.server()["ballooning"]["state"], "off-pending-restart")
        self.well("set", "db-1", "--minimum", "96M")
        self.well("restart", "web-1", "--timeout", "4")
        self.in_state("off")
        self.check_pool()

    def test_stop_makes_room_for_another(self):
        self.well("stop", "web-1")
        e2e.wait_until(lambda: self.server()["state"] == "off", 20, lambda: str(self.server()))
        self.well("set", "db-1", "--minimum", "300M")
        self.assertEqual(self.server()["committed_bytes"], 0)
        made = json.loads(self.well("--json", "reserve", "290M", "--for", "next-1", "--wait", "60"))
        err = self.refused("start", "web-1")
        self.assertRegex(err, r"\d+ bytes")
        self.well("release", str(made["id"]))
        for name in ("db-1", "shop-1"):
            self.well("set", name, "--minimum", "96M")
        self.well("start", "web-1")
        self.in_state("off")
        self.check_pool()

    def test_reservations_outlive_the_daemon(self):
        self.well("ballooning", "web-1", "on")
        self.well("stop", "web-1")
        first = json.loads(self.well("--json", "reserve", "100M", "--for", "next-2", "--wait", "60"))
        made = json.loads(self.well("--json", "reserve", "200M", "--for", "next-2", "--wait", "60"))
        self.assertEqual((made["id"], made["bytes"] - first["bytes"]), (first["id"], 100 * MIB), "room for one start is reserved once")
        self.daemon.stop(kill=True)
        self.daemon.start()
        kept = {one["id"]: one for one in self.daemon.call("reservations")["reservations"]}
        self.assertEqual((kept[made["id"]]["bytes"], kept[made["id"]]["for"]), (made["bytes"], "next-2"))
        self.well("release", str(made["id"]))
        self.daemon.wait(lambda: e2e.all_running(self.daemon, ["db-1", "shop-1"]), 30, "known again")
        self.well("start", "web-1")
        self.in_state("on")

    # ---- making servers

    def test_created_and_made_anew(self):
        self.well("stop", "web-1")
        out = self.well("create", "new-1", "--image", "small", "--memory", "256M")
        self.assertIn("new-1", out)
        e2e.wait_until(lambda: e2e.all_running(self.daemon, ["new-1"]), 60, self.daemon.situation)
        server = self.server("new-1")
        self.assertEqual((server["kind"], server["maximum_bytes"], server["ballooning"]["state"]), ("kvm", 256 * MIB, "on"))
        self.assertIn("already", self.refused("create", "new-1", "--image", "small", "--memory", "256M"))
        old = server["id"]
        self.well("set", "new-1", "--weight", "250")
        self.well("stop", "new-1")
        self.well("reinstall", "new-1", "--image", "small", "--confirm", "new-1")
        e2e.wait_until(lambda: e2e.all_running(self.daemon, ["new-1"]), 60, self.daemon.situation)
        server = self.server("new-1")
        self.assertNotEqual(server["id"], old)
        self.assertEqual((server["weight"], server["maximum_bytes"]), (250, 256 * MIB))
        self.well("purge", "new-1", "--confirm", "new-1")
        self.well("stop", "new-1")
        self.check_pool()

    # ---- killed

    def test_killed_again_and_again(self):
        """Settings change, guests burst, and the daemon is killed at random: guests go on, and the next one carries on."""
        names = ("db-1", "shop-1")
        uptimes = {name: self.guests[name].report["uptime_us"] for name in names}
        dice = random.Random(4)
        for kill in range(KILLS):
            self.guests[names[kill % 2]].send(f"anon {dice.choice((40, 160))}M at 200M")
            killer = threading.Timer(0.2 + dice.random() * 1.5, self.daemon.process.send_signal, (signal.SIGKILL,))
            killer.start()
            weight = 0
            try:
                while True:
                    weight = weight % 500 + 1
                    self.daemon.call("set", name=names[weight % 2], minimum_bytes=(96 + weight % 30) * MIB, weight=weight)
            except (OSError, e2e.aerolab.LabError):
                pass
            killer.join()
            self.daemon.process.wait(10)
            self.daemon.start()
        for name in names:
            self.guests[name].send("anon 40M")
            self.guests[name].wait_for(lambda report, name=name: report["uptime_us"] > uptimes[name], 20)
        self.daemon.wait(lambda: e2e.all_running(self.daemon, names), 30, "known again")
        e2e.wait_until(lambda: all(self.server(name)["hold"] is None for name in names), 60, self.daemon.situation)
        for name in names:
            self.assertEqual(self.server(name)["balloon_bytes"] // MIB, self.guests[name].balloon()["actual_bytes"] // MIB)
            self.assertEqual(self.guests[name].report["oom_kill"], 0)
        status = self.daemon.call("status")
        self.assertLessEqual(status["committed_bytes"], status["pool_bytes"])


if __name__ == "__main__":
    raise SystemExit(e2e.main())
