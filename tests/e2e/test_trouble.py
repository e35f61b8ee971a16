"""What goes wrong around the daemon: libvirtd, guests, QEMU, an operator's hand, the daemon's own death."""

import hashlib
import json
import subprocess
import sys
import time
import unittest
from pathlib import Path

import e2e
from e2e import MIB

POOL_BYTES = 2600 * MIB
GUEST_BYTES = 512 * MIB
FIXED_BYTES = 384 * MIB
NAMES = ["a", "b", "c"]
# Linux loads the driver in seconds; a guest that has not answered for this long has none.
NO_DRIVER_S = 90


class Trouble(unittest.TestCase):
    """One pool with three guests that can balloon and two that cannot, for all of these."""

    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="128M")
        cls.addClassCleanup(cls.daemon.close)
        cls.started = time.monotonic()
        cls.fixed = cls.lab.start_guests({"driverless": {"balloon_driver": False}, "boxed": {"balloon": False}},
                                         memory_bytes=FIXED_BYTES)
        cls.guests = {}
        for name in NAMES:
            cls.daemon.make_room(name, GUEST_BYTES)
            cls.guests[name] = cls.lab.start_guest(name, GUEST_BYTES, script="anon:20M", stats_period=1)
            cls.guests[name].wait_ready()
        cls.uuids = {name: cls.lab.virsh("domuuid", name).strip() for name in NAMES}
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, NAMES), 30, "all known")

    def setUp(self):
        for name in NAMES:
            self.guests[name].send("anon 20M")

    def situation(self):
        return f"QEMU says {e2e.in_mib(self.sizes())} MiB; {self.daemon.situation()}"

    def balloon(self, name):
        return self.guests[name].qmp("query-balloon")["actual"]

    def sizes(self):
        try:
            return e2e.balloons(self.guests)
        except e2e.aerolab.LabError:
            return {}

    def server(self, name):
        return self.daemon.servers()[name]

    def state(self):
        return self.daemon.call("status")["state"]

    def wait_server(self, name, seconds, **wanted):
        """Until the server's fields are as wanted; returns it."""
        def found():
            server = self.daemon.servers().get(name)
            return server and all(server[field] == value for field, value in wanted.items()) and server
        return e2e.wait_until(found, seconds, lambda: f"{name} is not {wanted}; {self.situation()}")

    def outgrow(self, name):
        """Lets @name use all it has but a tenth of what it has left, so that it needs more; returns what it had."""
        guest = self.guests[name]
        guest.send("anon 20M")

        # What is left must belong to what it has: the guest's report, its balloon's counters and QEMU agree.
        def same():
            report, size = guest.report, self.balloon(name)
            pages = (report["balloon_inflate"] - report["balloon_deflate"]) * 4096
            return report["anon_bytes"] == 20 * MIB and size == GUEST_BYTES - pages and size
        before = e2e.wait_until(same, 20, lambda: f"{guest.report}; {self.situation()}", every=0.02)
        guest.send(f"anon {20 * MIB + guest.report['mem_available_bytes'] * 9 // 10} at 50M")
        return before

    def assert_served(self, name, seconds=30):
        """Lets @name need more than it has and waits until QEMU has given it that; then it is done."""
        before = self.outgrow(name)
        goal = min(before + 64 * MIB, GUEST_BYTES - 8 * MIB)
        e2e.wait_until(lambda: self.balloon(name) >= goal, seconds,
                       lambda: f"{name} got no more than {before}; {self.guests[name].report} {self.situation()}")
        self.assertEqual(self.guests[name].report["oom_kill"], 0)
        self.guests[name].send("anon 20M")

    def rests(self, name):
        """Whether nothing was asked of it for so long that no move of its balloon can be the daemon's own."""
        moves = [one for one in self.daemon.call("journal", name=name, limit=50)["decisions"] if one["move"] != "note"]
        return e2e.settled(self.daemon) and all(time.time() - one["time_us"] / 1e6 > 4 for one in moves)

    def assert_true_size(self, name):
        """The daemon, QEMU and the guest's own counters say the same of the balloon."""
        guest = self.guests[name]

        def true():
            server, actual, report = self.server(name), self.balloon(name), guest.report
            pages = (report["balloon_inflate"] - report["balloon_deflate"]) * 4096
            return server["balloon_bytes"] == actual == GUEST_BYTES - pages
        e2e.wait_until(true, 20, lambda: f"{self.server(name)} {guest.report}; {self.situation()}")

    def test_a_guest_without_balloon_device_is_fixed(self):
        server = self.wait_server("boxed", 10, fixed="no-driver")
        e2e.assert_ballooning(self, server, "unavailable", "no-driver")
        self.assertEqual(server["committed_bytes"], FIXED_BYTES + server["overhead_bytes"])
        details = e2e.cli_json(self, self.daemon, "show", "boxed")["details"]
        self.assertIn("balloon", details["fixed_sentence"])
        self.assertIn("memballoon", details["remedy"])
        self.assertIn("no such device", self.daemon.cli("show", "boxed")[1])
        self.assertGreaterEqual(self.daemon.call("status")["fixed_bytes"], FIXED_BYTES)
        status, out, err = self.daemon.cli("doctor", "boxed", "--json")
        (finding,) = json.loads(out)["findings"]
        self.assertEqual((status, err, finding["name"], finding["severity"]), (1, "", "boxed", "problem"))
        self.assertIn("memballoon", finding["fix"])
        status, out, _ = self.daemon.cli("doctor")
        self.assertEqual(status, 1)
        self.assertIn("boxed", out)
        self.assertEqual(self.daemon.cli("doctor", "a")[0], 0, "nothing is wrong with a")

    def test_a_second_daemon_is_refused(self):
        done = subprocess.run([e2e.program("aerostatd"), "--config", str(self.daemon.config)], capture_output=True,
                              text=True, timeout=20, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(self.daemon.socket, done.stderr)
        self.assertIn(str(self.daemon.process.pid), done.stderr)
        self.assertEqual(self.daemon.call("status")["state"], "ok")

    def test_a_libvirtd_that_is_killed_and_comes_back(self):
        uptimes = {name: guest.report["uptime_us"] for name, guest in self.guests.items()}
        self.lab.stop_libvirtd(kill=True)
        try:
            e2e.wait_until(lambda: self.state() == "disconnected", 20, lambda: str(self.daemon.call("status")))
            status, out, _ = self.daemon.cli("status")
            self.assertEqual(status, 0)
            self.assertIn("Disconnected", out)
            self.assertEqual(set(self.daemon.servers()), {*NAMES, *self.fixed}, "forgotten while out of reach")
            for name, guest in self.guests.items():
                guest.wait_for(lambda report, name=name: report["uptime_us"] > uptimes[name])
        finally:
            self.lab.start_libvirtd()
        e2e.wait_until(lambda: self.state() == "ok", 40, lambda: str(self.daemon.call("status")))
        self.wait_server("a", 20, state="running", hold=None)
        self.assert_served("a")
        for name in NAMES:
            self.assertNotEqual(self.server(name)["hold"], "manual-override", name)

    def test_a_reset_guest_counts_at_its_maximum_and_is_taken_up_again(self):
        e2e.wait_until(lambda: self.balloon("a") <= GUEST_BYTES - 32 * MIB, 60, self.situation)
        self.guests["a"].reset()
        server = self.wait_server("a", 10, state="rebooting")
        self.assertEqual(server["committed_bytes"], GUEST_BYTES + server["overhead_bytes"])
        self.guests["a"].wait_ready()
        self.wait_server("a", 40, state="running", hold=None)
        self.assert_true_size("a")
        self.assertNotEqual(self.server("a")["hold"], "manual-override")
        e2e.wait_until(lambda: self.state() == "ok", 30, self.situation)
        self.assert_served("b")

    def test_a_frozen_qemu_stops_nobody_else(self):
        self.guests["b"].stop_process()
        try:
            server = self.wait_server("b", 30, state="unresponsive")
            self.assertEqual((server["hold"], server["ballooning"]["reason"]), ("unresponsive", "unresponsive"))
            began = time.monotonic()
            self.daemon.call("status")
            self.assertLess(time.monotonic() - began, 2, "the daemon answers slowly")
            self.assertTrue(any("b:" in text for text in self.daemon.call("status")["problems"]))
            # Not by its QEMU, which answers nobody: by the daemon and by the other guest.
            before = self.outgrow("c")
            goal = min(before + 48 * MIB, GUEST_BYTES - 8 * MIB)
            e2e.wait_until(lambda: self.balloon("c") >= goal, 30, lambda: f"c got nothing: {self.daemon.situation()}")
        finally:
            self.guests["b"].cont_process()
        server = self.wait_server("b", 40, state="running", hold=None)
        self.assert_true_size("b")

    def test_a_guest_without_driver_is_fixed(self):
        left = max(NO_DRIVER_S + 30 - (time.monotonic() - self.started), 10)
        server = self.wait_server("driverless", left, fixed="no-driver")
        e2e.assert_ballooning(self, server, "unavailable", "no-driver")
        self.assertEqual(server["committed_bytes"], FIXED_BYTES + server["overhead_bytes"])
        self.assertEqual(self.fixed["driverless"].qmp("query-balloon")["actual"], FIXED_BYTES)
        self.assertIn("virtio_balloon", e2e.cli_json(self, self.daemon, "show", "driverless")["details"]["remedy"])

    def test_a_hand_on_the_balloon_is_respected(self):
        e2e.wait_until(lambda: self.rests("c"), 60, self.situation)
        # Also to where the daemon has had it within the last minute: what it asked for then is long carried out.
        wanted = self.balloon("c") - 24 * MIB
        wanted -= wanted % 1024
        self.lab.virsh("setmem", "c", str(wanted // 1024), "--live")
        server = self.wait_server("c", 20, hold="manual-override")
        e2e.assert_ballooning(self, server, "on", "manual-override")
        self.assertIn("setmem", e2e.cli_json(self, self.daemon, "show", "c")["details"]["remedy"])
        self.assert_served("a")
        self.assertEqual(self.balloon("c"), wanted, self.situation())

    def test_a_daemon_that_is_killed_in_mid_inflation(self):
        # A hand on the balloon holds for ten minutes, or until the daemon starts anew.
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()
        e2e.wait_until(lambda: e2e.all_running(self.daemon, NAMES), 30, self.situation)
        e2e.wait_until(lambda: all(self.server(name)["hold"] is None for name in NAMES), 20, self.situation)
        uptimes = {name: guest.report["uptime_us"] for name, guest in self.guests.items()}
        needy = self.guests["c"]
        # Somebody who needs the others' surplus, so that theirs is reclaimed; caught while one is on its way down.
        needy.send("anon 260M at 200M")

        def under_way():
            return any(server["target_bytes"] + 2 * MIB < server["balloon_bytes"]
                       for name, server in self.daemon.servers().items() if name != "c")
        e2e.wait_until(under_way, 20, lambda: f"nothing was reclaimed: {self.situation()}", every=0.005)
        self.daemon.stop(kill=True)
        self.assertTrue(Path(self.daemon.socket).exists(), "SIGKILL leaves its socket behind")
        for name, guest in self.guests.items():
            guest.wait_for(lambda report, name=name: report["uptime_us"] > uptimes[name])
        self.daemon.start()
        e2e.wait_until(lambda: e2e.all_running(self.daemon, NAMES), 30, self.situation)
        needy.wait_for(lambda report: report["anon_bytes"] == 260 * MIB, 60)
        seen = set()

        def satisfied():
            servers = self.daemon.servers()
            seen.update(server["hold"] for name, server in servers.items() if name in NAMES)
            return servers["c"]["hold"] is None and servers["c"]["short_bytes"] < 8 * MIB
        e2e.wait_until(satisfied, 30, self.situation)
        e2e.hold_for(lambda: satisfied() or True, 4, "")
        self.assertNotIn("manual-override", seen)
        self.assertNotIn("resting", seen)
        status = self.daemon.call("status")
        self.assertEqual((status["state"], status["over_seconds"]), ("ok", 0))
        for name, guest in self.guests.items():
            self.assertEqual((guest.report["oom_kill"], guest.report["pswpout"]), (0, 0), name)
            self.assert_true_size(name)

    def promised(self, name):
        """What the server may yet rise to, as the daemon has written it down; 0: nothing."""
        key = hashlib.sha256(f"{self.lab.uri}\n{self.uuids[name]}".encode()).hexdigest()
        text = Path(self.daemon.socket + ".promises").read_text(encoding="ascii")
        return max((int(line.split()[1]) for line in text.splitlines() if line.startswith(key)), default=0)

    def freeze_in_a_raise(self, name):
        """Whether QEMU was stopped before it has carried out a request for more."""
        self.outgrow(name)
        e2e.wait_until(lambda: self.promised(name), 20, self.situation, every=0.0005)
        self.guests[name].stop_process()
        time.sleep(0.5)
        if self.promised(name) > self.server(name)["balloon_bytes"]:
            return True
        self.guests[name].cont_process()
        return False

    def test_a_raise_that_is_under_way_outlives_its_daemon(self):
        e2e.wait_until(lambda: e2e.all_running(self.daemon, NAMES), 30, self.situation)
        try:
            self.assertTrue(any(self.freeze_in_a_raise("a") for _ in range(10)), "always answered")
            self.daemon.stop(kill=True)
            promised = self.promised("a")
            self.daemon.start()
            self.assertGreater(promised, 0)

            # libvirt's copy of the size may be from before it fell: then that counts, which is more.
            def inherited():
                server = self.daemon.servers().get("a", {})
                return server.get("target_bytes") and server["target_bytes"] == max(promised, server["balloon_bytes"])
            e2e.wait_until(inherited, 30, lambda: f"promised {promised}; {self.situation()}")
            self.assertGreaterEqual(self.promised("a"), promised)
        finally:
            self.guests["a"].cont_process()
        # Frozen it says nothing, so it counted at its maximum, and the others may have given for that.
        e2e.wait_until(lambda: not self.promised("a") and self.server("a")["hold"] is None and self.state() == "ok", 40, self.situation)
        self.assert_true_size("a")

    def test_statistics_that_are_switched_off_come_back(self):
        # As a daemon leaves it that is killed between the two halves of a question, where QEMU answers the first one late.
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()
        began = time.monotonic()
        e2e.wait_until(lambda: e2e.all_running(self.daemon, NAMES), 30, self.situation)

        def switched_off():
            self.lab.virsh("dommemstat", "c", "--period", "0", "--live")
            time.sleep(0.5) # a question that was under way switches them on again
            return self.guests["c"].stats_period() == 0
        e2e.wait_until(switched_off, 10, self.situation)
        # Definitions are read anew after a minute whatever happens: this is to be sooner.
        e2e.wait_until(lambda: self.guests["c"].stats_period() > 0, 55 - (time.monotonic() - began), self.situation, every=0.5)
        e2e.wait_until(lambda: self.server("c")["hold"] is None, 20, self.situation)

    def test_a_frozen_qemu_without_balloon_is_noticed_by_a_new_daemon(self):
        self.assertEqual(self.daemon.stop(), 0)
        self.fixed["boxed"].stop_process()
        try:
            self.daemon.start()
            self.wait_server("boxed", 30, state="unresponsive")
            e2e.wait_until(lambda: e2e.all_running(self.daemon, NAMES), 30, self.situation)
            findings = json.loads(self.daemon.cli("doctor", "boxed", "--json")[1])["findings"]
            self.assertTrue(any("does not answer" in finding["what"] for finding in findings), findings)
        finally:
            self.fixed["boxed"].cont_process()
        self.wait_server("boxed", 30, state="running")

    def test_a_daemon_that_finds_no_libvirt(self):
        self.assertEqual(self.daemon.stop(), 0)
        self.assertFalse(Path(self.daemon.socket).exists(), "SIGTERM leaves nothing behind")
        self.lab.stop_libvirtd()
        try:
            self.daemon.start()
            e2e.wait_until(lambda: self.state() == "disconnected", 20, lambda: str(self.daemon.call("status")))
            status = e2e.cli_json(self, self.daemon, "status")
            self.assertFalse(status["backends"][0]["connected"])
            self.assertTrue(status["backends"][0]["problem"])
            self.assertTrue(any(self.lab.uri in text for text in status["problems"]), status["problems"])
            self.assertIn("not connected", self.daemon.cli("status")[1])
            self.assertEqual(self.daemon.cli("list")[0], 0)
        finally:
            self.lab.start_libvirtd()
        e2e.wait_until(lambda: self.state() == "ok", 40, lambda: str(self.daemon.call("status")))
        e2e.wait_until(lambda: e2e.all_running(self.daemon, NAMES), 30, self.situation)


if __name__ == "__main__":
    sys.exit(e2e.main())
