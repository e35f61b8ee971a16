"""Real containers beside real guests: listed, counted, fixed."""

import os
import signal
import sys
import unittest

import e2e
from e2e import MIB
from lablxc import Containers

LIMIT_BYTES = 256 * MIB
GUEST_BYTES = 512 * MIB
POOL_BYTES = 1400 * MIB


class Listed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.containers = Containers()
        except e2e.aerolab.LabUnavailable as error:
            raise unittest.SkipTest(str(error)) from error
        cls.addClassCleanup(cls.containers.close)
        cls.containers.create("old-1", LIMIT_BYTES)
        cls.containers.create("old-2")
        cls.containers.create("other-1")
        cls.containers.start("old-1")
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.guest = cls.lab.start_guest("web-1", GUEST_BYTES, stats_period=1, script="anon:60M")
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="128M",
                                      extra=f"[lxc]\npath={cls.containers.path}\nservers=old-*")
        cls.addClassCleanup(cls.daemon.close)
        cls.guest.wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, ["web-1", "old-1"]), 30, "both known")

    def server(self, name):
        return self.daemon.servers()[name]

    def test_listed_as_containers(self):
        servers = self.daemon.servers()
        self.assertEqual(sorted(servers), ["old-1", "old-2", "web-1"])
        self.assertEqual({name: server["kind"] for name, server in servers.items()},
                         {"old-1": "lxc", "old-2": "lxc", "web-1": "kvm"})
        old = servers["old-1"]
        self.assertEqual((old["state"], old["maximum_bytes"], old["fixed"]), ("running", LIMIT_BYTES, "container"))
        self.assertEqual(old["committed_bytes"], LIMIT_BYTES)
        self.assertEqual((old["ballooning"]["state"], old["ballooning"]["reason"]), ("unavailable", "container"))
        self.assertEqual((servers["old-2"]["state"], servers["old-2"]["unlimited"]), ("off", True))

    def test_what_it_uses_is_seen(self):
        before = self.server("old-1")["used_bytes"]
        self.assertLess(before, 32 * MIB)
        self.containers.hold("old-1", 100 * MIB)
        used = e2e.wait_until(lambda: max(0, self.server("old-1")["used_bytes"] - before - 95 * MIB), 5,
                              lambda: str(self.server("old-1")))
        self.assertLess(used, 15 * MIB)

    def test_why_and_the_way_out(self):
        status, out, _ = self.daemon.cli("show", "old-1")
        self.assertEqual(status, 0)
        self.assertIn("container", out)
        self.assertIn("Reinstall it on KVM", out)

    def test_without_a_limit_it_counts_at_what_it_holds(self):
        self.containers.start("old-2")
        self.containers.hold("old-2", 50 * MIB)
        server = e2e.wait_until(lambda: self.grown("old-2"), 8, lambda: str(self.server("old-2")))
        self.assertTrue(server["unlimited"])
        self.assertLess(server["committed_bytes"], 80 * MIB)
        self.assertEqual(self.daemon.call("status")["state"], "ok")

    def grown(self, name):
        server = self.server(name)
        return server if (server["committed_bytes"] or 0) >= 50 * MIB else None

    def test_one_that_hangs_stands_alone(self):
        """Its monitor process is stopped: nobody waits for it, and it comes back."""
        monitor = self.containers.monitor_pid("old-2")
        os.kill(monitor, signal.SIGSTOP)
        try:
            e2e.wait_until(lambda: self.server("old-2")["state"] == "unresponsive", 15,
                           lambda: str(self.server("old-2")))
            beats = self.daemon.call("status")["beats"]
            e2e.wait_until(lambda: self.daemon.call("status")["beats"] >= beats + 3, 6, self.daemon.situation)
            self.assertEqual(self.server("old-1")["state"], "running")
        finally:
            os.kill(monitor, signal.SIGCONT)
        e2e.wait_until(lambda: self.server("old-2")["state"] == "running", 10, lambda: str(self.server("old-2")))

    def test_frozen_and_gone(self):
        self.containers.freeze("old-2")
        e2e.wait_until(lambda: self.server("old-2")["state"] == "paused", 10, lambda: str(self.server("old-2")))
        self.containers.unfreeze("old-2")
        self.containers.kill("old-2")
        e2e.wait_until(lambda: self.server("old-2")["state"] == "off", 5, lambda: str(self.server("old-2")))
        self.assertEqual(self.server("old-2")["committed_bytes"], 0)

    def test_the_daemon_goes_and_the_container_stays(self):
        before = self.server("old-1")["id"]
        self.daemon.stop(kill=True)
        self.assertEqual(self.containers.state("old-1"), "RUNNING")
        self.daemon.start()
        server = e2e.wait_until(lambda: self.daemon.servers().get("old-1"), 10, self.daemon.situation)
        self.assertEqual((server["id"], server["state"]), (before, "running"))


if __name__ == "__main__":
    sys.exit(e2e.main())
