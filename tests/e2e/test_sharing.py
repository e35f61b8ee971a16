"""Three idle guests and a needy one share a pool that holds little more than half of what they were sold."""

import json
import sys
import unittest

import e2e
from e2e import MIB

POOL_BYTES = 2400 * MIB
GUEST_BYTES = 1024 * MIB
IDLE = ["idle-1", "idle-2", "idle-3"]
NAMES = [*IDLE, "needy"]

NULL = type(None)
NUMBER = (int, float)
SERVER_FIELDS = {
    "name": str, "id": str, "kind": str, "state": str, "maximum_bytes": int, "minimum_bytes": int, "weight": int,
    "balloon_bytes": int, "target_bytes": int, "used_bytes": int, "resident_bytes": int, "demand_bytes": int,
    "committed_bytes": int, "ballooning": dict, "driver": str, "agent": (str, dict, NULL), "stalled_us": (int, NULL),
    "allocation_bytes": int, "floor_bytes": int, "short_bytes": int, "overhead_bytes": int, "minimum_own": bool,
    "weight_own": bool, "fixed": NULL, "hold": (str, NULL), "waiting": (str, NULL), "statistics_age_us": int,
}
HOST_FIELDS = {
    "version": str, "mode": str, "pool_bytes": int, "committed_bytes": int, "slack_bytes": int, "memory_bytes": int,
    "available_bytes": int, "pressure_some_avg10": (int, float, NULL), "servers": int, "beats": int,
    "relief_p50_us": int, "relief_p99_us": int, "free_bytes": int, "over_bytes": int, "fixed_bytes": int,
    "overhead_bytes": int, "short_bytes": int, "reclaiming_bytes": int, "reserved_bytes": int,
    "slack_wanted_bytes": int, "reboot_safe_bytes": int, "committed_peak_bytes": int, "over_seconds": NUMBER,
    "state": str, "problems": list, "backends": list, "uptime_us": int,
}
DECISION_FIELDS = {
    "time_us": int, "time_unix_us": int, "sent_unix_us": (int, NULL), "answered_unix_us": (int, NULL),
    "server": (str, NULL), "move": str, "from_bytes": (int, NULL), "to_bytes": (int, NULL),
    "used_bytes": (int, NULL), "need_bytes": (int, NULL), "allocation_bytes": (int, NULL), "text": str,
    "performed": bool, "error": (str, NULL), "sources": list,
}
MOVES = {"grant-need", "grant-surplus", "withdraw", "distress", "nudge", "reclaim-urgent", "reclaim-calm", "note"}


class Sharing(unittest.TestCase):
    """One pool and four guests for all of these, each in the state in which the case before left them."""

    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="128M")
        cls.addClassCleanup(cls.daemon.close)
        cls.guests = {}
        cls.watch = e2e.HostWatch(cls.guests)
        cls.addClassCleanup(cls.watch.stop)
        cls.committed = []
        cls.daemon.follow(cls.on_event)
        for name in NAMES:
            cls.daemon.make_room(name, GUEST_BYTES)
            script = "anon:40M" if name == "needy" else "anon:250M@400M;hold:1;anon:40M"
            cls.guests[name] = cls.lab.start_guest(name, GUEST_BYTES, script=script, stats_period=1)
            cls.guests[name].wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, NAMES), 30, "all four known")

    @classmethod
    def on_event(cls, kind, data):
        if kind == "host" and data and data["committed_bytes"] is not None:
            cls.committed.append(data["committed_bytes"])

    def balloon(self, name):
        return self.guests[name].qmp("query-balloon")["actual"]

    def flows_to(self, name):
        flows = e2e.cli_json(self, self.daemon, "journal", "--limit", "1")["flows"]
        return {flow["from"]: flow["bytes"] for flow in flows if flow["to"] == name}

    def situation(self):
        return f"QEMU says {e2e.in_mib(e2e.balloons(self.guests))} MiB; {self.daemon.situation()}"

    def check_fields(self, given, fields, what):
        for field, kinds in fields.items():
            self.assertIn(field, given, what)
            self.assertIsInstance(given[field], kinds, f"{what}: {field}")
            if isinstance(given[field], bool):
                self.assertIs(kinds, bool, f"{what}: {field} is a truth value")
        for field, value in given.items():
            if field.endswith("_bytes") and value is not None:
                self.assertGreaterEqual(value, 0, f"{what}: {field}")

    def check_pool(self):
        status = self.daemon.call("status")
        self.assertEqual(status["pool_bytes"], POOL_BYTES)
        over = status["committed_peak_bytes"] - POOL_BYTES
        self.assertEqual(status["over_seconds"], 0, f"the ledger was above the pool, by up to {over} bytes")
        self.assertLessEqual(over, 0)
        self.assertLessEqual(max(self.committed), POOL_BYTES, "in some event")
        self.assertGreater(self.watch.samples, 50)
        self.assertLessEqual(self.watch.peak_bytes, POOL_BYTES, "the host really held more than the pool")

    def check_unhurt(self):
        for name, guest in self.guests.items():
            report = guest.report
            self.assertEqual((report["oom_kill"], report["pswpout"], report["worker_restarts"]), (0, 0, 0), name)
            self.assertEqual([event for event in guest.events if event.get("event") == "oom"], [], name)

    def test_a_heavier_server_gets_more_of_the_surplus(self):
        server = e2e.cli_json(self, self.daemon, "set", "idle-2", "--weight", "800")
        self.assertEqual((server["weight"], server["weight_own"]), (800, True))

        def heavier():
            sizes = e2e.balloons(self.guests)
            return all(sizes["idle-2"] > sizes[name] + 64 * MIB for name in ("idle-1", "idle-3"))
        e2e.wait_until(heavier, 60, self.situation)
        self.assertEqual(self.daemon.cli("set", "idle-2", "--weight", "default")[0], 0)

    def test_memory_moves_from_idle_to_needy(self):
        # What the needy one had for its boot goes to the others first.
        e2e.wait_until(lambda: self.balloon("needy") <= 690 * MIB, 40, self.situation)
        before, flows = e2e.balloons(self.guests), self.flows_to("needy")
        self.assertLessEqual(sum(before.values()), POOL_BYTES)
        needy = self.guests["needy"]
        needy.send("anon 600M at 150M")
        needy.wait_for(lambda report: report["anon_bytes"] == 600 * MIB, 60)
        e2e.wait_until(lambda: self.balloon("needy") >= 800 * MIB, 30, self.situation)
        after = e2e.balloons(self.guests)
        came = {giver: size - flows.get(giver, 0) for giver, size in self.flows_to("needy").items()}
        from_idle = sum(came.get(name, 0) for name in IDLE)
        self.assertGreater(from_idle, 64 * MIB, f"flows {e2e.in_mib(came)}")
        given = sum(before[name] - after[name] for name in IDLE)
        self.assertGreater(given, 64 * MIB, f"QEMU: {e2e.in_mib(before)}, then {e2e.in_mib(after)}")
        self.assertGreater(after["needy"], before["needy"] + 64 * MIB)
        self.assertGreaterEqual(min(after.values()), 128 * MIB, "below its minimum")

    def test_no_byte_twice_and_nobody_hurt(self):
        self.check_pool()
        self.check_unhurt()

    def truth_of(self, name):
        """What is not true of the server's figures, or None. Compared at one moment, so asked again until it is."""
        guest = self.guests[name]
        server = e2e.cli_json(self, self.daemon, "show", name)
        actual, report = self.balloon(name), guest.report
        resident, ram = guest.resident_bytes(), guest.resident_ram_bytes()
        claimed = actual - report["mem_available_bytes"]
        # What a guest says it uses counts as far as the host sees that much of its memory touched.
        touched = min(claimed, ram)
        near = 16 * MIB
        truths = {
            f"balloon_bytes is {actual}": server["balloon_bytes"] == actual,
            f"target_bytes is {actual}": abs(server["target_bytes"] - actual) < MIB,
            f"resident_bytes is {resident}": abs(server["resident_bytes"] - resident) <= near,
            f"used_bytes is from {touched} to {claimed}":
                touched * 0.9 <= server["used_bytes"] <= claimed * 1.1,
            f"maximum_bytes is {GUEST_BYTES}": server["maximum_bytes"] == GUEST_BYTES,
            "committed_bytes is all it can hold":
                server["committed_bytes"] >= max(actual, ram) and
                server["committed_bytes"] == max(server["balloon_bytes"], server["target_bytes"],
                                                 server["committed_bytes"] - server["overhead_bytes"])
                + server["overhead_bytes"],
            "committed_bytes covers what the host holds": server["committed_bytes"] >= resident,
            f"pid is {guest.pid}": server["details"]["pid"] == guest.pid,
            "statistics are fresh": server["statistics_age_us"] < 3_000_000,
        }
        wrong = [text for text, true in truths.items() if not true]
        return (wrong, server) if wrong else None

    def test_show_is_complete_and_true(self):
        for name in NAMES:
            server = e2e.cli_json(self, self.daemon, "show", name)
            self.check_fields(server, SERVER_FIELDS, name)
            self.assertEqual((server["name"], server["kind"], server["state"]), (name, "kvm", "running"))
            e2e.assert_ballooning(self, server, "on", server["hold"])
            self.assertEqual((server["minimum_bytes"], server["weight"]), (128 * MIB, 100))
            self.assertEqual((server["minimum_own"], server["weight_own"]), (False, False))
            details = server["details"]
            self.assertEqual((details["deflates_on_oom"], details["reports_free_pages"]), (True, True))
            self.assertIsNone(details["fixed_sentence"])
            last = []

            def true(name=name, last=last):
                last[:] = self.truth_of(name) or ()
                return not last
            e2e.wait_until(true, 20, lambda last=last: str(last))

    def test_show_for_people(self):
        for name in NAMES:
            status, out, err = self.daemon.cli("show", name)
            self.assertEqual((status, err), (0, ""))
            for word in (name, "Booked", "1 GiB", "Available now", "In use", "Resident", "Minimum", "128 MiB"):
                self.assertIn(word, out)

    def test_show_says_who_holds_the_rest(self):
        def told():
            lent = e2e.cli_json(self, self.daemon, "show", "idle-1")["details"]["lent"]
            return lent and all(isinstance(one["bytes"], int) and one["bytes"] > 0 for one in lent) and lent
        lent = e2e.wait_until(told, 10, "idle-1 has lent nothing to anyone")
        for one in lent:
            self.assertEqual(len({"to", "from", "to_or_from"} & set(one)), 1, one)
        out = self.daemon.cli("show", "idle-1")[1]
        part = out[out.index("Lent"):]
        self.assertTrue(any(name in part for name in NAMES[1:]), part)

    def test_list(self):
        servers = e2e.cli_json(self, self.daemon, "list")["servers"]
        self.assertEqual([server["name"] for server in servers], sorted(NAMES))
        for server in servers:
            self.check_fields(server, SERVER_FIELDS, server["name"])
        status, out, err = self.daemon.cli("list")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual([line.split()[0] for line in lines[1:5]], sorted(NAMES), out)
        for word in ("Booked", "Available now", "In use"):
            self.assertIn(word, lines[0])

    def test_status(self):
        host = e2e.cli_json(self, self.daemon, "status")
        self.check_fields(host, HOST_FIELDS, "status")
        self.assertEqual((host["mode"], host["state"], host["servers"]), ("manage", "ok", 4))
        with open("/proc/meminfo", encoding="ascii") as file:
            memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
        self.assertEqual(host["memory_bytes"], memory["MemTotal"])
        self.assertLess(abs(host["available_bytes"] - memory["MemAvailable"]), 512 * MIB)
        self.assertEqual(host["committed_bytes"] + host["free_bytes"], POOL_BYTES)
        self.assertLessEqual(host["slack_bytes"], host["free_bytes"])
        self.assertEqual(host["fixed_bytes"], 0)
        self.assertLessEqual(host["relief_p50_us"], host["relief_p99_us"])
        self.assertEqual([(one["name"], one["uri"], one["connected"], one["problem"]) for one in host["backends"]],
                         [("libvirt", self.lab.uri, True, None)])
        status, out, err = self.daemon.cli("status")
        self.assertEqual((status, err), (0, ""))
        for word in ("Pool", "2.3 GiB", "manage", "connected", "Relief", "Safe reboot"):
            self.assertIn(word, out)

    def test_status_agrees_with_the_servers(self):
        def agrees():
            host, servers = self.daemon.call("status"), self.daemon.servers()
            return host["committed_bytes"] == sum(server["committed_bytes"] for server in servers.values())
        e2e.wait_until(agrees, 10, lambda: f"{self.daemon.call('status')['committed_bytes']}; {self.situation()}")

    def test_explain(self):
        told = e2e.cli_json(self, self.daemon, "explain", "needy")
        self.check_fields(told, {"name": str, "summary": str, "sentences": list, "server": dict, "decisions": list},
                          "explain")
        self.assertTrue(told["summary"].startswith("needy has "), told["summary"])
        self.assertTrue(all(isinstance(text, str) and text.endswith(".") for text in told["sentences"]), told)
        times = [decision["time_us"] for decision in told["decisions"]]
        self.assertEqual(times, sorted(times, reverse=True), "newest first")
        self.assertTrue(any(decision["move"] == "grant-need" for decision in told["decisions"]))
        for name in NAMES:
            status, out, err = self.daemon.cli("explain", name)
            self.assertEqual((status, err), (0, ""))
            self.assertTrue(out.startswith(f"{name} has "), out)
            self.assertIn("It needs ", out)

    def test_journal(self):
        journal = e2e.cli_json(self, self.daemon, "journal", "--limit", "1000")
        decisions = journal["decisions"]
        self.assertGreater(len(decisions), 10)
        for decision in decisions:
            self.check_fields(decision, DECISION_FIELDS, decision.get("text"))
            self.assertIn(decision["move"], MOVES)
            # Only a note may be about no server.
            self.assertTrue(decision["server"] in NAMES or decision["move"] == "note", decision)
            for source in decision["sources"]:
                self.assertIn(source["from"], [*NAMES, "free"])
                self.assertGreater(source["bytes"], 0)
        moved = {(decision["move"], decision["server"]) for decision in decisions if decision["performed"]}
        self.assertIn(("grant-need", "needy"), moved)
        self.assertTrue(any(move.startswith("reclaim") and name in IDLE for move, name in moved), moved)
        paid = [one for one in decisions if one["move"] == "grant-need" and one["performed"] and one["sources"]]
        for one in paid:
            self.assertLessEqual(sum(source["bytes"] for source in one["sources"]),
                                 one["to_bytes"] - one["from_bytes"] + MIB, one["text"])
        self.assertLessEqual(len(e2e.cli_json(self, self.daemon, "journal", "--limit", "3")["decisions"]), 3)
        own = e2e.cli_json(self, self.daemon, "journal", "idle-2", "--limit", "50")["decisions"]
        self.assertEqual({decision["server"] for decision in own}, {"idle-2"})
        status, out, err = self.daemon.cli("journal")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("Where memory went", out)

    def test_top_once(self):
        status, out, err = self.daemon.cli("top", "--once")
        self.assertEqual((status, err), (0, ""))
        for word in (*NAMES, "manage", "2.3 GiB", "committed"):
            self.assertIn(word, out)
        both = json.loads(self.daemon.cli("top", "--once", "--json")[1])
        self.check_fields(both["host"], HOST_FIELDS, "top")
        self.assertEqual(sorted(server["name"] for server in both["servers"]), sorted(NAMES))

    def test_a_raised_minimum_is_granted(self):
        self.guests["needy"].send("anon 40M")
        status, out, err = self.daemon.cli("set", "idle-1", "--minimum", "600M")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("minimum 600 MiB (its own)", out)
        e2e.wait_until(lambda: self.balloon("idle-1") >= 600 * MIB, 40, self.situation)
        server = e2e.cli_json(self, self.daemon, "show", "idle-1")
        self.assertEqual((server["minimum_bytes"], server["minimum_own"]), (600 * MIB, True))
        e2e.hold_for(lambda: self.balloon("idle-1") >= 600 * MIB, 3, self.situation)
        back = e2e.cli_json(self, self.daemon, "set", "idle-1", "--minimum", "default")
        self.assertEqual((back["minimum_bytes"], back["minimum_own"]), (128 * MIB, False))

    def test_observe_stops_all_moves(self):
        self.assertEqual(self.daemon.cli("mode", "observe")[0], 0)
        e2e.wait_until(lambda: e2e.settled(self.daemon), 10, self.situation)
        before = e2e.balloons(self.guests)
        asked = self.daemon.call("journal", limit=1)["decisions"][0]["time_us"]
        room = self.guests["needy"].report["mem_available_bytes"]
        self.guests["needy"].send(f"anon +{room // 2}")

        def proposed():
            return [one for one in self.daemon.call("journal", limit=50)["decisions"]
                    if one["time_us"] > asked and one["move"] != "note"]
        decisions = e2e.wait_until(proposed, 30, self.situation)
        e2e.hold_for(lambda: e2e.balloons(self.guests) == before, 5,
                     lambda: f"before: {e2e.in_mib(before)}; {self.situation()}")
        self.assertTrue(all(not one["performed"] for one in [*decisions, *proposed()]), decisions)
        self.assertEqual(e2e.cli_json(self, self.daemon, "status")["mode"], "observe")
        self.assertEqual(self.daemon.cli("mode", "manage")[0], 0)
        e2e.wait_until(lambda: e2e.balloons(self.guests) != before, 30, self.situation)

    def test_still_no_byte_twice_and_nobody_hurt(self):
        self.check_pool()
        self.check_unhurt()


if __name__ == "__main__":
    sys.exit(e2e.main())
