"""The lab itself: guests report, balloon, work and end; nothing of the host's is touched, nothing is left."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

LAB = Path(__file__).resolve().parents[2] / "lab"
sys.path.insert(0, str(LAB))
import aerolab  # noqa: E402
import labcpu  # noqa: E402
import labhost  # noqa: E402
import labxml  # noqa: E402

MIB = 1 << 20
HOST_FOLDERS = ["/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"]


def host_state():
    """Names, sizes and times of everything in the host's own libvirt folders."""
    state = {}
    for top in HOST_FOLDERS:
        for folder, _, files in os.walk(top):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                info = os.lstat(path)
                state[path] = (info.st_size, info.st_mtime_ns, info.st_ino)
    return state


def wait_until(condition, seconds, problem):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(problem() if callable(problem) else problem)
        time.sleep(0.02)


class OneGuest(unittest.TestCase):
    """One guest for all of these; each test starts with an empty workload."""

    @classmethod
    def setUpClass(cls):
        cls.host_before = host_state()
        cls.lab = aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.guest = cls.lab.start_guest("one", 384 * MIB, script="hold 0.1", swap_bytes=256 * MIB, stats_period=1)
        cls.guest.wait_ready()

    def setUp(self):
        self.guest.set_memory(384 * MIB)
        for command in ("stop", "free", "cache 0", "drop", "report 500"):
            self.guest.send(command)
        self.guest.wait_for(lambda report: report["anon_bytes"] == 0)

    def test_reports(self):
        first = self.guest.wait_for(lambda report: True)
        later = self.guest.wait_for(lambda report: report["uptime_us"] > first["uptime_us"] + 900_000)
        self.assertLess(later["uptime_us"], first["uptime_us"] + 3_000_000)
        self.assertGreater(first["mem_total_bytes"], 300 * MIB)
        self.assertGreater(first["mem_available_bytes"], 200 * MIB)
        self.assertEqual(self.guest.malformed_lines, 0)

    def test_clock_is_compared(self):
        self.assertLess(self.guest.clock_error_us, 100_000)
        report = self.guest.wait_for(lambda report: True)
        self.assertLess(abs(report["host_time_us"] - report["received_us"]), 1_000_000)

    def test_balloon_inflates_and_deflates(self):
        # Not the free memory of one report: free page reporting takes up to 128 MiB out of it for a moment.
        before = self.guest.wait_for(lambda report: report["mem_free_bytes"] > 300 * MIB)
        self.guest.set_memory(256 * MIB)
        self.guest.wait_balloon(lambda actual: actual == 256 * MIB)
        self.guest.wait_for(lambda report: report["mem_free_bytes"] < before["mem_free_bytes"] - 100 * MIB)
        self.assertEqual(self.guest.balloon()["actual_bytes"], 256 * MIB)
        self.guest.set_memory(384 * MIB)
        self.guest.wait_balloon(lambda actual: actual == 384 * MIB)

    def test_balloon_statistics(self):
        wait_until(lambda: self.guest.balloon()["stats_updated_s"] > 0, 10, "no balloon statistics")
        self.assertGreater(self.guest.balloon()["stats"]["stat-available-memory"], 100 * MIB)

    def test_workload_grows_touches_and_gives_back(self):
        before, since = self.guest.report, len(self.guest.events)
        self.guest.send("anon 100M at 100M/s")
        burst = self.guest.wait_event("burst", since=since)
        reached = self.guest.wait_event("reached", since=since)
        self.assertGreater(reached["time_us"] - burst["time_us"], 800_000)
        self.assertEqual(reached["goal_bytes"], 100 * MIB)
        full = self.guest.wait_for(lambda report: report["anon_bytes"] == 100 * MIB)
        self.assertLess(full["mem_free_bytes"], before["mem_free_bytes"] - 90 * MIB)
        self.assertGreaterEqual(full["worker_rss_bytes"], 100 * MIB)
        self.guest.wait_for(lambda report: report["anon_ops"] > full["anon_ops"] + 1000)
        self.assertGreater(self.guest.resident_ram_bytes(), 100 * MIB)
        self.guest.send("free 60M")
        self.guest.wait_for(lambda report: report["anon_bytes"] == 40 * MIB)
        self.guest.wait_for(lambda report: report["mem_free_bytes"] > full["mem_free_bytes"] + 50 * MIB)

    def test_free_page_reporting_shrinks_the_process(self):
        self.guest.send("anon 150M")
        self.guest.wait_for(lambda report: report["anon_bytes"] == 150 * MIB)
        full = self.guest.resident_ram_bytes()
        self.guest.send("free")
        wait_until(lambda: self.guest.resident_ram_bytes() < full - 100 * MIB, 20, "resident size did not fall")

    def test_cache_fills(self):
        before, since = self.guest.report, len(self.guest.events)
        self.guest.send("cache 80M at 100M")
        self.guest.wait_event("cached", since=since)
        full = self.guest.wait_for(lambda report: report["cache_bytes"] == 80 * MIB)
        self.assertGreater(full["buffers_bytes"], before["buffers_bytes"] + 70 * MIB)
        self.guest.wait_for(lambda report: report["cache_ops"] > full["cache_ops"] + 1000)

    def test_swap_carries_what_does_not_fit(self):
        self.guest.send("swap on")
        self.addCleanup(self.guest.send, "swap off", timeout=60)
        self.addCleanup(self.guest.send, "free", timeout=60)
        self.guest.send("anon 450M")
        report = self.guest.wait_for(lambda report: report["anon_bytes"] == 450 * MIB, 90)
        self.assertGreater(report["pswpout"], 0)
        self.assertEqual(report["worker_alive"], 1)

    def test_out_of_memory_kills_the_worker_only(self):
        since, before = len(self.guest.events), self.guest.report
        self.guest.send("anon 600M")
        self.guest.wait_event("oom", 90, since)
        self.guest.wait_for(lambda report: report["oom_kill"] > before["oom_kill"] and not report["worker_alive"])
        self.guest.send("anon 10M")
        report = self.guest.wait_for(lambda report: report["anon_bytes"] == 10 * MIB)
        self.assertEqual(report["worker_restarts"], before["worker_restarts"] + 1)

    def test_bad_commands_are_refused(self):
        for command in ("dance", "anon", "anon x", "anon 1M 2M 3M", "hold 1", "swap maybe", "agent on", "agent maybe",
                        "a b c d e f g h i"):
            with self.assertRaises(aerolab.LabError, msg=command):
                self.guest.send(command)

    def test_script_runs_in_order(self):
        since = len(self.guest.events)
        self.guest.send("script anon:20M@40M; wait; hold:0.2; anon +5M; wait; free 5M; loop 2")
        self.guest.wait_event("done", since=since)
        steps = [event["step"].strip() for event in self.guest.events[since:] if event["event"] == "step"]
        once = ["anon:20M@40M", "wait", "hold:0.2", "anon +5M", "wait", "free 5M"]
        self.assertEqual(steps, [*once, "loop 2", *once, "loop 2"])

    def test_reset_boots_again(self):
        since = len(self.guest.events)
        self.guest.reset()
        ready = self.guest.wait_event("ready", 60, since)
        self.guest.wait_ready()
        self.guest.wait_for(lambda report: report["time_us"] >= ready["time_us"])

    def test_libvirtd_comes_back(self):
        for kill in (False, True):
            pid = self.guest.pid
            self.lab.stop_libvirtd(kill)
            report = self.guest.report
            self.guest.wait_for(lambda r, last=report: r["uptime_us"] > last["uptime_us"])
            with self.assertRaises(aerolab.LabError):
                self.lab.domains()
            self.lab.start_libvirtd()
            self.assertEqual(self.lab.domains(), {"one": "running"})
            self.assertEqual(self.guest.pid, pid)
            self.assertEqual(self.guest.qmp("query-balloon")["actual"], 384 * MIB)

    def test_a_frozen_qemu_is_silent(self):
        self.guest.stop_process()
        try:
            time.sleep(1)
            report = self.guest.report
            time.sleep(1.5)
            self.assertEqual(self.guest.report["uptime_us"], report["uptime_us"])
        finally:
            self.guest.cont_process()
        self.guest.wait_for(lambda r: r["time_us"] > report["time_us"])

    def test_the_hosts_own_libvirt_is_untouched(self):
        self.assertEqual(self.lab.domains(), {"one": "running"})
        self.assertEqual(host_state(), self.host_before)
        self.assertEqual(labhost.mounts_under(self.lab.dir), [])


class OtherGuests(unittest.TestCase):
    """Guests that are not like the first."""

    def test_no_balloon_and_no_driver(self):
        with aerolab.Lab() as lab:
            guests = lab.start_guests({"none": {"balloon": False, "preallocated": True},
                                       "driverless": {"balloon_driver": False}}, memory_bytes=256 * MIB)
            for guest in guests.values():
                guest.wait_ready()
            self.assertIn("<memballoon model='none'", lab.virsh("dumpxml", "none"))
            self.assertGreater(guests["none"].resident_ram_bytes(), 250 * MIB)
            guests["driverless"].set_memory(128 * MIB)
            time.sleep(2)
            self.assertEqual(guests["driverless"].balloon()["actual_bytes"], 256 * MIB)
            guests["driverless"].send("driver on")
            guests["driverless"].wait_balloon(lambda actual: actual == 128 * MIB)
            lab.remove_guest("none")
            self.assertEqual(list(lab.domains()), ["driverless"])

    def test_files_reach_the_guest(self):
        with aerolab.Lab() as lab, tempfile.NamedTemporaryFile("w") as agent:
            agent.write(f"#!/bin/sh\necho to the host >/dev/virtio-ports/{labxml.AGENT_PORT}\n")
            agent.flush()
            guest = lab.start_guest("agent", 256 * MIB, agent=agent.name)
            path = re.search(rf"<source mode='bind' path='([^']+)'/>\s*<target type='virtio' "
                             rf"name='{re.escape(labxml.AGENT_PORT)}'", lab.virsh("dumpxml", "agent"))[1]
            with socket.socket(socket.AF_UNIX) as port:
                port.connect(path)
                port.settimeout(60)
                self.assertEqual(port.recv(100), b"to the host\n")


OWNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import aerolab
lab = aerolab.Lab()
guest = lab.start_guest("victim", 256 << 20)
guest.wait_ready()
print(lab.dir, flush=True)
time.sleep(1000)
"""


class NothingIsLeft(unittest.TestCase):
    """The end of a lab, also by SIGKILL."""

    def start_owner(self):
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(LAB)], stdout=subprocess.PIPE, text=True)
        self.addCleanup(owner.stdout.close)
        self.addCleanup(owner.wait)
        self.addCleanup(owner.kill)
        path = owner.stdout.readline().strip()
        self.assertTrue(path.startswith("/"), "the owner did not start its lab")
        return owner, path

    def test_sigkill_leaves_no_process_and_no_mount(self):
        owner, path = self.start_owner()
        pids = labhost.lab_pids(path)
        self.assertGreaterEqual(len(pids), 3, pids)
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        wait_until(lambda: not any(map(labhost.is_alive, pids)) and not labhost.lab_pids(path), 10,
                   lambda: f"left: {[labhost.command_line_of(pid)[:200] for pid in labhost.lab_pids(path)]}")
        self.assertEqual(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), mounts)
        self.assertNotIn(path, mounts)
        labhost.remove_stale()
        self.assertFalse(os.path.exists(path))

    def test_a_living_lab_is_not_stale(self):
        _, path = self.start_owner()
        self.assertNotIn(path, labhost.remove_stale())
        self.assertTrue(os.path.exists(path))
        self.assertTrue(labhost.lab_pids(path))

    def test_what_is_not_a_labs_is_left_alone(self):
        other = Path(labhost.base_dir(), "aerolab-not-ours")
        other.mkdir()
        self.addCleanup(other.rmdir)
        self.assertNotIn(str(other), labhost.remove_stale())
        self.assertTrue(other.exists())

    def test_close_leaves_nothing(self):
        lab = aerolab.Lab()
        lab.start_guest("short", 256 * MIB)
        path, pids = lab.dir, lab.pids()
        lab.close()
        lab.close()
        self.assertFalse(os.path.exists(path))
        self.assertFalse(any(map(labhost.is_alive, pids)))
        self.assertEqual(labhost.lab_pids(path), [])

    @unittest.skipUnless(labcpu.can_group(), "no sessions are scheduling groups here, or not root")
    def test_all_of_it_is_one_scheduling_group(self):
        path = Path(labcpu.ROOT, f"{labcpu.PREFIX}{os.getpid()}")
        with aerolab.Lab() as lab:
            self.assertTrue(lab.one_group)
            lab.start_guest("grouped", 256 * MIB)
            inside = set(map(int, (path / "cgroup.procs").read_text(encoding="ascii").split()))
            self.assertLessEqual({os.getpid(), *lab.pids()}, inside)
            with aerolab.Lab() as second:
                self.assertFalse(second.one_group)  # it is in the first one's already
        self.assertFalse(path.exists())
        self.assertTrue(labcpu.can_group())

    def test_a_killed_labs_group_is_removed(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(labcpu, "ROOT", Path(folder)):
            for name in (f"{labcpu.PREFIX}{os.getpid()}", f"{labcpu.PREFIX}999999999", "other"):
                Path(folder, name).mkdir()
            labcpu.remove_stale()
            self.assertEqual(sorted(os.listdir(folder)), sorted([f"{labcpu.PREFIX}{os.getpid()}", "other"]))

    def test_an_exception_in_setup_leaves_nothing(self):
        with self.assertRaises(aerolab.LabError), aerolab.Lab() as lab:
            path = lab.dir
            lab.start_guest("bad name", 256 * MIB)
        self.assertFalse(os.path.exists(path))


def main():
    try:
        aerolab.Lab().close()
    except aerolab.LabUnavailable as error:
        print(f"SKIP: {error}")
        return 77 if "--exit-77" in sys.argv else 0
    unittest.main(verbosity=2, argv=[name for name in sys.argv if name != "--exit-77"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
