"""The Server Dashboard as its users meet it: a real browser, real servers, a real container made a virtual machine."""

import json
import os
import shutil
import subprocess
import threading
import unittest
from pathlib import Path

import e2e
from aerodash import LXC_BYTES, DashboardHost

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
GROWS_MIB = 220


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for tool, package in ((CHROMIUM, "chromium"), (shutil.which("node") or "", "nodejs")):
            if not os.access(tool, os.X_OK):
                raise unittest.SkipTest(f"{package} is not installed")
        cls.pictures = Path(os.environ.get("AEROSTAT_BUILD", ROOT / "build" / "release")) / "dashboard-failures"
        shutil.rmtree(cls.pictures, ignore_errors=True)
        cls.pictures.mkdir(parents=True)
        cls.host = DashboardHost()
        cls.addClassCleanup(cls.host.close)
        cls.daemon, cls.guests, cls.lab = cls.host.daemon, cls.host.guests, cls.host.lab

    def begin(self, flow, **more):
        """A browser that does @flow, its output as it comes."""
        host = self.host.for_browser(grows_mib=GROWS_MIB, pictures=str(self.pictures), **more)
        return subprocess.Popen(["node", str(ROOT / "dashboard" / "tests" / "flows.mjs"), flow, json.dumps(host)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, "CHROMIUM": CHROMIUM})

    def follow(self, browser, at_ready=None, timeout=240):
        """Its output, when it has ended well."""
        lines = []
        timer = threading.Timer(timeout, browser.kill)
        timer.start()
        try:
            for line in browser.stdout:
                lines.append(line)
                if line.strip() == "READY" and at_ready:
                    at_ready()
            status = browser.wait()
        finally:
            timer.cancel()
        text = "".join(lines)
        print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)
        self.assertEqual(status, 0, f"{text}\n{self.daemon.situation()}\n{self.host.web.log_text()[-500:]}")
        return text

    def test_an_owner_sees_memory_move(self):
        guest = self.guests["web-1"]
        self.follow(self.begin("watch"), lambda: guest.send(f"anon {60 + GROWS_MIB}M at 100M"))
        guest.send("anon 60M")

    def test_nobody_reaches_a_foreign_server(self):
        self.follow(self.begin("foreign"))

    def test_an_operator_previews_and_observes(self):
        self.addCleanup(self.daemon.call, "mode", mode="manage")
        self.follow(self.begin("operator"))
        self.assertEqual(self.daemon.servers()["shop-1"]["weight"], 300)
        self.assertEqual(self.daemon.call("status")["mode"], "manage")

    def test_every_page_is_accessible(self):
        self.follow(self.begin("accessible"))

    def test_an_answer_before_the_first_picture_is_not_lost(self):
        self.follow(self.begin("prompt"))

    def test_a_session_that_ended_unseen(self):
        self.follow(self.begin("expired"))

    def test_nothing_of_another_account_stays(self):
        self.follow(self.begin("another"))

    def test_the_daemon_goes_and_comes_back(self):
        def restart():
            self.daemon.stop(kill=True)
            timer = threading.Timer(3, self.daemon.start)
            timer.start()
            self.addCleanup(timer.join)
        self.follow(self.begin("reconnect"), restart)
        self.daemon.wait(lambda: e2e.all_running(self.daemon, list(self.guests)), 30, "all servers known again")

    def test_an_owner_disables_ballooning(self):
        self.follow(self.begin("disable"))
        server = self.daemon.servers()["web-1"]
        self.assertEqual((server["ballooning"]["state"], server["fixed"]), ("off", "disabled-by-owner"))
        self.assertIn("<memballoon model='none'", self.lab.virsh("dumpxml", "web-1"))

    def test_an_owner_reinstalls_on_kvm(self):
        if self.host.no_container:
            self.skipTest(self.host.no_container)
        self.follow(self.begin("reinstall"))
        server = self.daemon.servers()["old-1"]
        self.assertEqual((server["kind"], server["owner"], server["maximum_bytes"]), ("kvm", "alice", LXC_BYTES))


if __name__ == "__main__":
    raise SystemExit(e2e.main())
