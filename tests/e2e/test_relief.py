"""Relief in a fraction of a second: bursts beside slack, and beside donors that freeze, reboot or need it back."""

import re
import sys
import time
import unittest

import e2e
from e2e import MIB

GUEST_BYTES = 768 * MIB
REPORTING, SILENT = ["a", "b"], ["c", "d"]  # with free page reporting, and without
NAMES = [*REPORTING, *SILENT]
# What each QEMU is counted at besides its guest: more than it takes, so that the pool is a matter of guests alone.
OVERHEAD_BYTES = 216 * MIB
# Not two thirds of what the guests were sold. Quiet ones need 310 MiB each: two may burst, by the sizes below.
GUESTS_BYTES = 1920 * MIB
POOL_BYTES = GUESTS_BYTES + len(NAMES) * OVERHEAD_BYTES
# So much that a quiet guest has little more than it needs, and a burst must be granted something.
SLACK_BYTES, SLACK_READY_BYTES = 600 * MIB, 400 * MIB
SPARE_MAX_BYTES = 200 * MIB
# What a donor has above its need at the beginning: more than it gives in a second while nobody waits.
IDLE_BYTES = 128 * MIB
QUIET_BYTES = 64 * MIB
SQUEEZED_BYTES = 224 * MIB
# What one burst grows by where nobody else does, and where two do.
LARGE_BYTES, SMALL_BYTES = 352 * MIB, 256 * MIB
# A donor that has given down to this needs about 100 MiB of it back for that.
NEED_BACK_BYTES, LEFT_BYTES = 320 * MIB, 560 * MIB
# With what it has, a guest grows at this for a second or two; and so long do bursts last that something is to happen
# in the middle of.
RATE, SLOWLY = "100M", "40M"
# From a burst's first page to its first grant sent. Tens of milliseconds, where the machine has nothing else to do;
# here it may have, and without free page reporting growth may show only in statistics, once a second.
FIRST_GRANT_US = 2_000_000
# Clocks of host and guest agree to about a millisecond.
CLOCK_US = 2000
# A note says when a rise began by the daemon's own clock: at the last sample before it, which may be late.
RISE_SEEN_US = 3_000_000
# Waits this close are one rise (docs/control.md), and would be told as one.
RISE_PAUSE_S = 2.0
# Committed bytes are told once a beat; what moves between two.
BEAT_BYTES = 48 * MIB


def now_us():
    return time.time_ns() // 1000


class Relief(unittest.TestCase):
    """One pool and four guests for all of these. Balloons do not deflate by themselves: who runs short swaps."""

    thawed = None  # the server object of a donor that was frozen

    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        started = {name: {"free_page_reporting": name in REPORTING} for name in NAMES}
        cls.guests = cls.lab.start_guests(started, memory_bytes=GUEST_BYTES, script=f"anon:{QUIET_BYTES // MIB}M",
                                          deflate_on_oom=False, swap_bytes=GUEST_BYTES, stats_period=1)
        for name, guest in cls.guests.items():
            cls.prepare(name)
            # What boot has touched goes back to the host, so that growth is growth of what the host holds.
            guest.set_memory(SQUEEZED_BYTES)
        for guest in cls.guests.values():
            guest.wait_balloon(lambda actual: actual == SQUEEZED_BYTES, 40)
        cls.watch = e2e.HostWatch(cls.guests)
        cls.addClassCleanup(cls.watch.stop)
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", slack=f"{SLACK_BYTES // MIB}M",
                                      minimum="128M", overhead=f"{OVERHEAD_BYTES // MIB}M")
        cls.addClassCleanup(cls.daemon.close)
        cls.beats, cls.states = [], []  # (when, host object), (when, server object)
        cls.begin(False)

    @classmethod
    def begin(cls, start=True):
        """Starts the daemon if told, follows it, and waits until it knows all guests and nobody waits."""
        if start:
            cls.daemon.start()
        cls.daemon.follow(cls.on_event)
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, NAMES), 30, "all four known")
        # It may find them squeezed: their first wait is to be over, and told, before another one begins.
        cls.daemon.wait(lambda: cls.daemon.call("status")["short_bytes"] < 8 * MIB, 20, "enough for all")
        time.sleep(2.5)

    @classmethod
    def on_event(cls, kind, data):
        if kind == "host" and data:
            cls.beats.append((now_us(), data))
        elif kind == "server" and data:
            cls.states.append((now_us(), data))

    @classmethod
    def prepare(cls, name):
        """What a guest forgets when it boots."""
        cls.guests[name].wait_ready()
        cls.guests[name].send("swap on", timeout=30)
        cls.guests[name].send("report 200", timeout=30)

    def setUp(self):
        for guest in self.guests.values():
            guest.send(f"anon {QUIET_BYTES // MIB}M", timeout=30)
        for guest in self.guests.values():
            guest.wait_for(lambda report: report["anon_bytes"] == QUIET_BYTES, 30)
        # A donor that has given too slowly keeps what it has for minutes: a new daemon does not know that.
        if any(server["hold"] == "resting" for server in self.daemon.servers().values()):
            self.daemon.stop()
            self.begin()
        # Nobody waits and most of the slack is there: what a burst meets on a quiet host.
        e2e.wait_until(self.calm, 40, lambda: f"not calm: {self.status()}; {self.situation()}")
        self.swapped = {name: self.fresh(name)["pswpout"] for name in NAMES}
        self.over_seconds = self.status()["over_seconds"]

    def tearDown(self):
        """Whatever happened: nobody killed, and never more than the pool on the host."""
        for name, guest in self.guests.items():
            killed = [event for event in list(guest.events) if event.get("event") == "oom"]
            self.assertEqual((self.fresh(name)["oom_kill"], killed), (0, []), self.story(name))
        self.assertGreater(self.watch.samples, 50)
        self.assertLessEqual(self.watch.peak_bytes, POOL_BYTES, "the host really held more than the pool")

    # What is known

    def calm(self):
        status = self.status()
        return status["slack_bytes"] >= SLACK_READY_BYTES and status["short_bytes"] < 8 * MIB

    def status(self):
        return self.daemon.call("status")

    def server(self, name):
        return self.daemon.servers()[name]

    def situation(self):
        return f"{self.status()['state']}; {self.daemon.situation()}"

    def story(self, name, since_us=0):
        """For messages: what was sent to it."""
        told = [f"{(one['sent_unix_us'] - since_us) / 1e6:.3f} {one['move']} {one['from_bytes'] // MIB}-"
                f"{one['to_bytes'] // MIB}" for one in e2e.moves(self.daemon, name, since_us)]
        return f"sent to {name}: {told[-60:]}; {self.situation()}"

    def fresh(self, name):
        """A report from after this call."""
        guest, asked_us = self.guests[name], now_us()
        return guest.wait_for(lambda report: report["received_us"] > asked_us + 1000, 30)

    def spare(self, name):
        """What it has above its use."""
        server = self.server(name)
        return server["balloon_bytes"] - server["used_bytes"]

    def by_spare(self, but=()):
        """Names, whoever has least to give first."""
        return sorted(set(NAMES) - set(but), key=self.spare)

    def fatten(self, names):
        """Lets one of @names grow and shrink, so that it has what it does not need; returns its name."""
        servers = self.daemon.servers()
        # Not one that still keeps what it has learned to need.
        name = min(names, key=lambda one: servers[one]["demand_bytes"])
        self.ends(e2e.Burst(self.guests[name], QUIET_BYTES + LARGE_BYTES))
        self.guests[name].send(f"anon {QUIET_BYTES // MIB}M", timeout=30)

        def idle():
            server = self.server(name)
            return server["balloon_bytes"] - server["demand_bytes"] >= IDLE_BYTES
        e2e.wait_until(idle, 20, lambda: f"{name} has nothing to give; {self.story(name)}", every=0.02)
        return name

    def granted_since(self, name, since_us):
        return [one for one in e2e.moves(self.daemon, name, since_us) if one["to_bytes"] > one["from_bytes"]]

    def grants(self, burst):
        return self.granted_since(burst.guest.name, burst.start_us - CLOCK_US)

    def wait_asked(self, name, burst):
        """Until @name has been asked to give since the burst of another began, which still lasts."""
        def asked():
            return any(one["to_bytes"] < one["from_bytes"] for one in e2e.moves(self.daemon, name, burst.start_us))
        e2e.wait_until(asked, 8, lambda: f"nothing was asked of it; {self.story(name, burst.start_us)}", every=0.02)
        self.assertIsNone(burst.outcome(), f"{name} was asked only after the burst of {burst.guest.name}")

    # What holds

    def ends(self, burst):
        name = burst.guest.name
        self.assertEqual(burst.wait(40), "done", f"the burst of {name}; {self.story(name, burst.start_us)}")

    def assert_granted_soon(self, burst):
        """Its first grant was sent after its first page, and soon."""
        name, given = burst.guest.name, self.grants(burst)
        self.assertTrue(given, f"nothing was granted; {self.story(name, burst.start_us)}")
        after_us = given[0]["sent_unix_us"] - burst.start_us
        print(f"# first grant of {name} after {after_us / 1000:.0f} ms", flush=True)
        self.assertLessEqual(after_us, FIRST_GRANT_US, self.story(name, burst.start_us))

    def assert_true_size(self, name):
        """The daemon, QEMU and the guest's own counters say the same of the balloon, once it stands."""
        guest = self.guests[name]

        def true():
            report, actual = guest.report, guest.qmp("query-balloon")["actual"]
            pages = (report["balloon_inflate"] - report["balloon_deflate"]) * 4096
            return self.server(name)["balloon_bytes"] == actual == GUEST_BYTES - pages
        e2e.wait_until(true, 30, lambda: f"{self.server(name)} {guest.report}; {self.situation()}")

    def assert_never_over(self):
        self.assertEqual(self.status()["over_seconds"], self.over_seconds, "committed more than the pool")

    def assert_told(self, burst):
        """The journal has a note on this rise, for programs and for people, and so has `explain`."""
        name = burst.guest.name

        def noted():
            told = self.daemon.call("explain", name=name)["decisions"]
            return [one for one in told if one["relief"] and one["time_us"] > burst.start_us]
        note = e2e.wait_until(noted, 30, lambda: f"no note; {self.story(name, burst.start_us)}")[-1]
        relief = note["relief"]
        found = re.fullmatch(rf"{name} got the first of \S+ \S+ (\d+) ms after it began to need it, and never waited "
                             r"longer than (\d+) ms(;.*)\.", note["text"])
        self.assertTrue(found, note["text"])
        for said_ms, field in ((found[1], "first_grant_us"), (found[2], "relief_us")):
            self.assertLessEqual(abs(int(said_ms) * 1000 - relief[field]), 1000, note)
        payers = set(re.findall(r"from ([^ ,;.]+)", found[3]))
        self.assertLessEqual(payers, set(NAMES) - {name}, note["text"])
        self.assertTrue(payers or "of slack" in found[3], note["text"])
        began_us, first_us = relief["began_unix_us"], relief["began_unix_us"] + relief["first_grant_us"]
        self.assertGreater(began_us, burst.start_us - RISE_SEEN_US, note)
        nearest_us = min(abs(one["sent_unix_us"] - first_us) for one in self.grants(burst))
        self.assertLess(nearest_us, 100_000, f"no grant at that time: {note}; {self.story(name, burst.start_us)}")
        self.assertGreater(relief["bytes"], 32 * MIB)
        journal = e2e.cli_json(self, self.daemon, "journal", name, "--limit", "200")["decisions"]
        self.assertIn(note["text"], [one["text"] for one in journal])
        self.assertIn(note["text"], self.daemon.cli("explain", name)[1].replace("\n", " "))

    def relieved(self, names):
        """A burst of one of @names beyond what it has, which is paid by slack and donors, and told."""
        name = self.by_spare(set(NAMES) - set(names))[0]
        e2e.wait_until(lambda: self.spare(name) <= SPARE_MAX_BYTES, 10, lambda: f"{name} has much; {self.situation()}")
        # It may still be given what it had been short of: that is over before its burst begins, the taking of it as well.
        e2e.wait_until(lambda: not self.granted_since(name, now_us() - int((RISE_PAUSE_S + 1.5) * 1e6)), 20,
                       lambda: f"{name} is granted more and more; {self.story(name)}", every=0.05)
        burst = e2e.Burst(self.guests[name], QUIET_BYTES + LARGE_BYTES, RATE)
        self.ends(burst)
        self.assert_granted_soon(burst)
        swapped = self.fresh(name)["pswpout"] - self.swapped[name]
        self.assertEqual(swapped, 0, f"{name} has swapped out; {self.story(name, burst.start_us)}")
        self.assert_told(burst)
        self.assert_never_over()
        status = self.status()
        for figure in ("first_grant", "relief"):
            p50, p99 = status[f"{figure}_p50_us"], status[f"{figure}_p99_us"]
            self.assertIsInstance(p50, int, f"{figure}_p50_us")
            self.assertTrue(0 < p50 <= p99, f"{figure}: {p50}, {p99}")

    # The cases

    def test_a_burst_with_free_page_reporting(self):
        self.relieved(REPORTING)

    def test_a_burst_without_free_page_reporting(self):
        self.relieved(SILENT)

    def half_given(self):
        """A burst, and a donor that has given much for it and is giving more; None for one that rests instead."""
        needy, *others = self.by_spare()
        donor = self.fatten(others)
        burst = e2e.Burst(self.guests[needy], QUIET_BYTES + SMALL_BYTES, RATE)

        def gives():
            server = self.server(donor)
            if server["hold"] == "resting":
                return "rests"
            return server["target_bytes"] + MIB < server["balloon_bytes"] <= LEFT_BYTES and "gives"
        how = e2e.wait_until(gives, 30, lambda: f"it does not give; {self.story(donor, burst.start_us)}", every=0.01)
        return burst, donor if how == "gives" else None

    def test_a_donor_that_needs_it_back(self):
        for _ in range(3):
            first, donor = self.half_given()
            if donor is not None:
                break
            # Where processors are short a guest may give so slowly that the daemon lets it alone: once more, then.
            self.ends(first)
            self.assert_never_over()
            self.setUp()
        self.assertIsNotNone(donor, f"none gave three times: {self.situation()}")
        needy = first.guest.name
        second = e2e.Burst(self.guests[donor], QUIET_BYTES + NEED_BACK_BYTES, RATE)
        self.ends(first)
        self.ends(second)
        e2e.wait_until(lambda: self.grants(second), 5, lambda: f"none came back; {self.story(donor, first.start_us)}")
        self.assertTrue(self.grants(first), self.story(needy, first.start_us))
        self.assert_true_size(donor)
        self.assert_never_over()

    def wait_state(self, name, state, since_us, seconds):
        """(when the daemon first said so from @since_us on, what it had said of the server just before)"""
        def found():
            mine = [(at, server) for at, server in list(self.states) if server["name"] == name]
            return next(((at, before) for (_, before), (at, server) in zip(mine, mine[1:])
                         if at >= since_us and server["state"] == state != before["state"]), None)
        return e2e.wait_until(found, seconds, lambda: f"{name} is not {state}; {self.situation()}", every=0.02)

    def assert_over_only_by(self, room_bytes, since_us, until_us):
        """The ledger was above the pool by no more than that, then only, and the daemon said so each time."""
        over = [(at, host) for at, host in list(self.beats) if at >= since_us and host["over_bytes"] > 0]
        for at, host in over:
            self.assertEqual(host["state"], "overcommitted", host)
            self.assertTrue(host["problems"], host)
            self.assertLessEqual(host["over_bytes"], room_bytes, f"more than the reset has taken: {host}")
            self.assertLessEqual(at, until_us, f"after the guest was up again: {host}")
        seconds = self.status()["over_seconds"] - self.over_seconds
        self.assertEqual(seconds > 0, bool(over), f"{seconds} s, and {len(over)} beats that say so")

    def test_a_guest_that_is_reset_in_the_middle_of_a_burst(self):
        needy, *_, victim = self.by_spare()
        burst = e2e.Burst(self.guests[needy], QUIET_BYTES + SMALL_BYTES, SLOWLY)
        e2e.wait_until(lambda: self.grants(burst), 8, lambda: self.story(needy, burst.start_us), every=0.02)
        self.guests[victim].reset()
        reset_us = now_us()
        self.assertIsNone(burst.outcome(), "the reset came only after the burst")
        rebooting_us, before = self.wait_state(victim, "rebooting", reset_us - 1_000_000, 5)
        self.ends(burst)
        self.prepare(victim)
        running_us, _ = self.wait_state(victim, "running", rebooting_us, 40)
        sent = e2e.moves(self.daemon, victim, rebooting_us)
        self.assertTrue(sent and sent[0]["move"] == "nudge", f"while it boots: {self.story(victim, reset_us)}")
        self.assertLessEqual(sent[0]["sent_unix_us"], running_us, self.story(victim, reset_us))
        held = before["committed_bytes"] - before["overhead_bytes"]
        self.assert_over_only_by(GUEST_BYTES - held + BEAT_BYTES, reset_us - 1_000_000, running_us + 1_000_000)

        self.assert_true_size(victim)
        e2e.wait_until(lambda: self.status()["state"] == "ok", 20, self.situation)
        self.assertEqual(self.server(victim)["state"], "running")

    def test_a_donor_that_freezes_in_the_middle_of_a_burst(self):
        needy, other, *others = self.by_spare()
        donor = self.fatten(others)
        burst = e2e.Burst(self.guests[needy], QUIET_BYTES + SMALL_BYTES, SLOWLY)
        self.wait_asked(donor, burst)
        self.guests[donor].stop_process()
        try:
            third = e2e.Burst(self.guests[other], QUIET_BYTES + SMALL_BYTES, RATE)
            self.ends(third)
            self.assert_granted_soon(third)
            self.ends(burst)
            self.assertTrue(self.grants(burst), self.story(needy, burst.start_us))
            e2e.wait_until(lambda: self.server(donor)["state"] == "unresponsive", 20, self.situation)
        finally:
            self.guests[donor].cont_process()

        def taken_up():
            server = self.server(donor)
            return server["state"] == "running" and server["statistics_age_us"] < 3_000_000
        e2e.wait_until(taken_up, 20, lambda: f"{self.server(donor)}")
        self.fresh(donor)
        time.sleep(1.0)
        type(self).thawed = self.server(donor)
        self.assert_never_over()


class Thawed(unittest.TestCase):
    def test_a_donor_that_was_frozen_is_not_taken_for_short(self):
        """What its QEMU did says nothing of its guest, which can go on giving. A matter of when exactly it froze."""
        if Relief.thawed is None:
            self.skipTest("none was frozen")
        self.assertNotEqual(Relief.thawed["hold"], "resting", Relief.thawed)


if __name__ == "__main__":
    sys.exit(e2e.main())
