"""libvirt's hook: somebody else starts a machine, and the daemon makes room first, or says what is missing."""

import re
import unittest
from pathlib import Path

import e2e
from e2e import MIB

ROOT = Path(__file__).resolve().parents[2]
GUEST_BYTES = 384 * MIB
POOL_BYTES = 1150 * MIB


class Hook(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        if cls.lab.mode != "system":
            raise unittest.SkipTest("libvirt runs hooks for its system daemon alone, and that needs root")
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="96M", overhead="128M")
        cls.addClassCleanup(cls.daemon.close)
        cls.install()
        cls.guests = {name: cls.lab.start_guest(name, GUEST_BYTES, stats_period=1, script="anon:40M")
                      for name in ("web-1", "web-2")}
        for guest in cls.guests.values():
            guest.wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, list(cls.guests)), 60, "both known")

    @classmethod
    def install(cls):
        """As its head says, with the settings of this daemon; libvirtd looks for hooks when it starts."""
        text = (ROOT / "packaging/hooks/qemu.in").read_text(encoding="utf-8").replace("@sysconfdir@", str(cls.daemon.dir))
        hook = Path(cls.lab.dir, "etc", "hooks", "qemu")
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(text, encoding="utf-8")
        hook.chmod(0o755)
        cls.settings = cls.daemon.dir / "aerostat" / "hook.conf"
        cls.settings.parent.mkdir()
        cls.configure()
        cls.lab.restart_libvirtd()

    @classmethod
    def configure(cls, **more):
        values = {"SOCKET": cls.daemon.socket, "AEROSTAT": e2e.program("aerostat"), "WAIT_SECONDS": 30, **more}
        cls.settings.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")

    def starts(self, name, memory_bytes=GUEST_BYTES):
        guest = self.lab.start_guest(name, memory_bytes, stats_period=1, script="anon:40M")
        guest.wait_ready()
        return guest

    def test_room_is_made_first(self):
        before = {name: guest.balloon()["actual_bytes"] for name, guest in self.guests.items()}
        self.starts("web-3")
        e2e.wait_until(lambda: e2e.all_running(self.daemon, ["web-3"]), 60, self.daemon.situation)
        after = {name: guest.balloon()["actual_bytes"] for name, guest in self.guests.items()}
        self.assertLess(sum(after.values()), sum(before.values()), "the others gave what it needed")
        status = self.daemon.call("status")
        self.assertEqual(status["over_seconds"], 0)
        self.assertLessEqual(status["committed_peak_bytes"], status["pool_bytes"])

    def test_no_room_is_a_refusal_with_the_figure(self):
        with self.assertRaises(e2e.aerolab.LabError) as caught:
            self.starts("large-1", 900 * MIB)
        self.assertRegex(str(caught.exception), r"large-1 is not started: .*\d+ bytes")
        missing = int(re.search(r"(\d+) bytes", str(caught.exception)).group(1))
        self.assertGreater(missing, 0)
        self.assertLess(missing, 900 * MIB)
        self.lab.virsh("undefine", "large-1")

    def test_a_daemon_that_observes_refuses_nobody(self):
        self.daemon.call("mode", mode="observe")
        self.lab.remove_guest("web-3")
        self.starts("web-3")
        self.daemon.call("mode", mode="manage")

    def test_the_daemons_own_start_is_not_asked_twice(self):
        self.assertEqual(self.daemon.cli("stop", "web-3", timeout=60)[0], 0)
        status, out, err = self.daemon.cli("start", "web-3", timeout=90)
        self.assertEqual((status, err), (0, ""), out)
        e2e.wait_until(lambda: self.daemon.call("reservations")["reservations"] == [], 20, self.daemon.situation)

    def test_without_a_daemon(self):
        self.daemon.stop()
        self.lab.remove_guest("web-3")
        self.starts("web-3")
        self.lab.remove_guest("web-3")
        self.configure(IF_DOWN="refuse")
        with self.assertRaises(e2e.aerolab.LabError) as caught:
            self.starts("web-3")
        self.assertIn("no daemon answers", str(caught.exception))


if __name__ == "__main__":
    raise SystemExit(e2e.main())
