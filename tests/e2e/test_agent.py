"""The guest's agent on real guests: heard at once under pressure, across a reset, and beside one that sends garbage."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import e2e
from e2e import MIB

GUEST_BYTES = 512 * MIB
# Says something sane for three seconds; then writes random bytes and lies that are well formed, for ever and as fast as its port
# takes them.
BABBLER = """#!/bin/busybox sh
for port in /sys/class/virtio-ports/*; do
    [ "$(/bin/busybox cat $port/name)" = org.aerostat.agent.0 ] && device=/dev/${port##*/}
done
for _ in 1 2 3 4 5 6; do
    echo '{"v":1,"version":"9","why":"period","boot":"x","total_bytes":400000000,"available_bytes":1000000,"free_bytes":0}'
    /bin/busybox usleep 500000
done >$device
while :; do
    /bin/busybox head -c 65536 /dev/urandom
    echo
    echo '{"v":1,"version":"9","why":"pressure","boot":"x","total_bytes":9223372036854775807,"available_bytes":0,"free_bytes":0}'
    echo '{"v":1,"version":"9","why":"pressure","boot":"x","total_bytes":400000000,"available_bytes":0,"free_bytes":0,"psi_some_us":1}'
done >$device
"""


class Program(unittest.TestCase):
    def test_it_is_static_and_shows_a_line(self):
        agent = e2e.program("aerostat-agent")
        self.assertNotIn(b"/ld-linux", Path(agent).read_bytes(), "it asks for a dynamic linker")
        out = subprocess.run([agent, "--once"], capture_output=True, text=True, check=True)
        line = json.loads(out.stdout)
        self.assertGreater(line["total_bytes"], line["available_bytes"])

    def test_it_says_what_is_missing(self):
        agent = e2e.program("aerostat-agent")
        process = subprocess.Popen([agent], stderr=subprocess.PIPE, text=True)
        try:
            text = ""
            while "<channel" not in text:
                line = process.stderr.readline()
                self.assertTrue(line, "ended without saying what is missing")
                text += line
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        bad = subprocess.run([agent, "--nonsense"], capture_output=True, text=True)
        self.assertEqual(bad.returncode, 2)
        self.assertIn("--nonsense", bad.stderr)


class Guests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{2 * 700}M", mode="observe")
        cls.addClassCleanup(cls.daemon.close)
        with tempfile.TemporaryDirectory() as folder:
            babbler = Path(folder, "babbler")
            babbler.write_text(BABBLER, encoding="utf-8")
            cls.honest = cls.lab.start_guest("honest", GUEST_BYTES, agent=e2e.program("aerostat-agent"),
                                             swap_bytes=512 * MIB, stats_period=1)
            cls.babbler = cls.lab.start_guest("babbler", GUEST_BYTES, agent=str(babbler), stats_period=1)
        for guest in (cls.honest, cls.babbler):
            guest.wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, ["honest", "babbler"]), 30, "both known")

    def agent(self, name="honest"):
        return self.daemon.servers()[name]["agent"]

    def test_1_it_is_heard(self):
        self.daemon.wait(lambda: self.agent() and self.agent()["connected"], 10, "the agent's first line")
        self.assertLess(self.agent()["age_us"], 3_000_000)
        self.assertEqual(self.agent()["dropped"], 0)
        self.assertGreaterEqual(self.daemon.servers()["honest"]["stalled_us"], 0)

    def test_2_what_is_no_line_is_dropped_and_disturbs_nobody(self):
        beats = self.daemon.call("status")["beats"]
        self.daemon.wait(lambda: self.daemon.call("status")["beats"] >= beats + 3, 15, "beats go on")
        self.daemon.wait(lambda: self.agent()["age_us"] < 3_000_000, 10, "the honest one is heard meanwhile")
        self.daemon.wait(lambda: (self.agent("babbler") or {"dropped": 0})["dropped"] > 0, 30, "the babbler's lines are dropped")

    def test_3_under_pressure_it_goes_on_speaking(self):
        stalled = self.daemon.servers()["honest"]["stalled_us"]
        self.honest.send("swap on")
        self.honest.send("touch max")
        self.honest.send("anon 560M")
        self.daemon.wait(lambda: self.daemon.servers()["honest"]["stalled_us"] > stalled + 300_000, 40,
                         "stall that the agent reports")
        e2e.hold_for(lambda: self.agent()["age_us"] < 5_000_000, 5, "the agent is silent while its guest thrashes")
        self.honest.send("anon 0", timeout=30.0)

    def test_4_a_reset_guest_is_heard_again(self):
        stalled = self.daemon.servers()["honest"]["stalled_us"]
        self.honest.reset()
        self.daemon.wait(lambda: self.daemon.servers()["honest"]["state"] != "running", 10, "the reset")
        self.daemon.wait(lambda: self.daemon.servers()["honest"]["state"] == "running" and self.agent()
                         and self.agent()["connected"] and self.agent()["age_us"] < 2_000_000, 40, "its agent again")
        self.assertGreaterEqual(self.daemon.servers()["honest"]["stalled_us"], stalled)

    def test_5_a_new_daemon_hears_it_too(self):
        self.daemon.stop()
        self.daemon.start()
        self.daemon.wait(lambda: self.daemon.servers().get("honest", {}).get("agent"), 20, "the agent")


if __name__ == "__main__":
    sys.exit(e2e.main())
