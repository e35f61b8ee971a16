"""Mode observe: the same guests and the same need; everything is decided and written down, nothing is moved."""

import sys
import unittest

import e2e
from e2e import MIB

POOL_BYTES = 2400 * MIB
GUEST_BYTES = 1024 * MIB
NAMES = ["idle-1", "idle-2", "idle-3", "needy"]


class Observe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", "observe", minimum="128M")
        cls.addClassCleanup(cls.daemon.close)
        cls.guests = cls.lab.start_guests({name: {"script": "anon:40M"} for name in NAMES},
                                          memory_bytes=GUEST_BYTES, stats_period=1)
        for guest in cls.guests.values():
            guest.wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, NAMES), 30, "all four known")

    def assert_nothing_moved(self):
        self.assertEqual(e2e.balloons(self.guests), dict.fromkeys(NAMES, GUEST_BYTES))

    def proposals(self):
        decisions = e2e.cli_json(self, self.daemon, "journal", "--limit", "1000")["decisions"]
        return [one for one in decisions if one["move"] != "note"]

    def test_nothing_moves_while_one_needs_more(self):
        needy = self.guests["needy"]
        needy.send("anon 600M at 150M")

        def grown(report):
            self.assert_nothing_moved()
            return report["anon_bytes"] == 600 * MIB
        e2e.wait_until(lambda: grown(needy.report), 60, lambda: str(needy.report))
        e2e.hold_for(lambda: self.assert_nothing_moved() is None, 5, "a balloon moved")

    def test_decisions_are_written_down(self):
        proposals = e2e.wait_until(self.proposals, 20, self.daemon.situation)
        self.assertTrue(all(one["performed"] is False and one["error"] is None for one in proposals), proposals[:3])
        donors = {one["server"] for one in proposals if one["move"].startswith("reclaim")}
        self.assertTrue(donors & set(NAMES[:3]), donors)
        for one in proposals:
            self.assertIn(one["server"], one["text"])
        status, out, _ = self.daemon.cli("journal")
        self.assertEqual(status, 0)
        self.assertIn("idle-", out)

    def test_status_says_so(self):
        host = e2e.cli_json(self, self.daemon, "status")
        # Nobody took care that four times 1 GiB fit: that is said, and not mended.
        self.assertEqual((host["mode"], host["state"]), ("observe", "overcommitted"))
        self.assertGreaterEqual(host["committed_bytes"], 4 * GUEST_BYTES)
        self.assertTrue(host["problems"])
        self.assertIn("observe", self.daemon.cli("status")[1])

    def test_the_account_is_of_what_is(self):
        for name, server in self.daemon.servers().items():
            self.assertEqual((server["balloon_bytes"], server["target_bytes"]), (GUEST_BYTES, GUEST_BYTES), name)

    def test_nothing_was_asked_of_any_guest(self):
        for name, guest in self.guests.items():
            report = guest.report
            self.assertEqual((report["balloon_inflate"], report["balloon_deflate"]), (0, 0), name)
            self.assertEqual(report["oom_kill"], 0, name)
        self.assert_nothing_moved()


if __name__ == "__main__":
    sys.exit(e2e.main())
