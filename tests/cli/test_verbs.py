#!/usr/bin/env python3
"""Every verb of the command line against a stand-in daemon: output, JSON, errors, exit statuses.

    test_verbs.py PATH-OF-AEROSTAT [unittest arguments]
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
AEROSTAT = ""
VERBS = ("status", "list", "show", "explain", "top", "journal", "events", "set", "mode", "record", "doctor")
PATIENCE_S = 30
# What no output may hold: control characters but the newline, and characters that turn the direction of text.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


class FakeDaemon:
    def __init__(self, *args):
        self.folder = tempfile.TemporaryDirectory(prefix="aerostat-cli-")
        self.socket = os.path.join(self.folder.name, "s")
        self.args = args
        self.start()

    def start(self, *args):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "fake_daemon.py"), self.socket,
                                         *(args or self.args)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()


def environment(**more):
    env = {key: value for key, value in os.environ.items()
           if not key.startswith("LC_") and key not in ("LANG", "COLUMNS", "NO_COLOR", "AEROSTAT_SOCKET")}
    env.update({"LANG": "C.UTF-8", "TZ": "UTC"} | more)
    return env


def run(*args, **env):
    done = subprocess.run([AEROSTAT, *args], capture_output=True, timeout=PATIENCE_S, env=environment(**env),
                          check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Offline(unittest.TestCase):
    """What needs no daemon."""

    def test_help(self):
        for args in (("--help",), ("-h",), ("help",)):
            status, out, err = run(*args)
            self.assertEqual((status, err), (0, ""))
            for verb in VERBS:
                self.assertIn(f"  {verb}", out)
        for verb in VERBS:
            status, out, err = run(verb, "--help")
            self.assertEqual((status, err), (0, ""))
            self.assertTrue(out.startswith(f"Usage: aerostat {verb}"))
            self.assertIn("Examples:\n  ", out)
            self.assertEqual(out, run("--help", verb)[1])
            self.assertEqual(out, run("help", verb)[1])
            self.assertLessEqual(max(map(len, out.splitlines())), 110)

    def test_version(self):
        for args in (("--version",), ("-V",), ("list", "--version")):
            self.assertRegex(run(*args)[1], r"^aerostat \d+\.\d+\.\d+\n$")

    def test_usage(self):
        for args, words in (((), "which command?"), (("stauts",), 'did you mean "status"?'),
                            (("list", "--jsn"), "did you mean --json?"), (("show",), "usage: aerostat show SERVER"),
                            (("list", "x"), "too many words"), (("mode", "manege"), "did you mean manage?"),
                            (("set", "a"), "set what?"), (("set", "a", "--minimum", "12x"), '"12x"'),
                            (("set", "a", "--minimum", "120%"), "120%"), (("set", "a", "--weight", "0"), "1 to 10000"),
                            (("set", "a", "--weight", "many"), '"many"'), (("journal", "-n", "0"), "1 to 1000"),
                            (("journal", "-n", "9999"), "1 to 1000"), (("events", "--only", "x"), "none of host"),
                            (("record", "-", "--json"), "both want"), (("record", "x", "-n", "0"), "whole number"),
                            (("record",), "needs more"),
                            (("show", b"\xff"), "not UTF-8")):
            with self.subTest(args=args):
                status, out, err = run(*args, AEROSTAT_SOCKET="/nonexistent")
                self.assertEqual((status, out), (2, ""))
                self.assertTrue(err.startswith("aerostat: "), err)
                self.assertIn(words, err)
                self.assertEqual(err.count("\n"), 1)

    def test_no_daemon(self):
        for verb in VERBS:
            args = {"show": ("x",), "explain": ("x",), "set": ("x", "-w", "5"), "record": ("-",)}.get(verb, ())
            with self.subTest(verb=verb):
                status, out, err = run("--socket", "/nonexistent/s", verb, *args)
                self.assertEqual((status, out), (1, ""))
                self.assertIn("/nonexistent/s", err)
                self.assertIn("systemctl status aerostatd", err)

    def test_long_path(self):
        status, _, err = run("status", "--socket", "/" + "x" * 200)
        self.assertEqual(status, 1)
        self.assertIn("107", err)

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([AEROSTAT, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write", done.stderr)


class Verbs(unittest.TestCase):
    """Each verb with a daemon that has servers of every kind."""

    def setUp(self):
        self.daemon = FakeDaemon()

    def tearDown(self):
        self.daemon.__exit__()

    def good(self, *args, **env):
        status, out, err = run("--socket", self.daemon.socket, *args, **env)
        self.assertEqual((status, err), (0, ""), args)
        if "--json" not in args and "-j" not in args:  # into a pipe, JSON is as readable as it came
            self.assertIsNone(HARMFUL.search(out), out)
        return out

    def bad(self, *args):
        status, out, err = run(*args, AEROSTAT_SOCKET=self.daemon.socket)
        self.assertEqual((status, out), (1, ""))
        return err

    def test_status(self):
        out = self.good("status")
        self.assertTrue(out.startswith("Ok, everything fits the pool; but servers need 300 MiB more"))
        for words in ("committed 21.7 GiB", "slack 1.2 GiB", "free 1.1 GiB", "libvirt qemu:///system: connected",
                      "half within 120 ms, 99 % within 480 ms", "3 d 4 h, 10 482 beats", "up to 2 GiB"):
            self.assertIn(words, out)

    def test_status_states(self):
        for state, words in (("overcommitted", "could hold 1.2 GiB more than the pool"), ("infeasible", "minima"),
                             ("disconnected", "libvirtd does not answer"), ("starting", "Starting: ")):
            with self.subTest(state=state), FakeDaemon("--state", state, "--mode", "observe") as daemon:
                status, out, _ = run("status", "-s", daemon.socket)
                self.assertEqual(status, 0)
                self.assertTrue(out.lower().startswith(state))
                self.assertIn(words, out)
                self.assertIn("touches nothing", out)
                self.assertIn("Relief          – (no server has been short yet)", out)  # not measured yet is not 0

    def test_list(self):
        out = self.good("list")
        rows = {line.split("  ")[0]: line for line in out.splitlines()}
        self.assertRegex(out.splitlines()[0], r"^Name +Kind +State +Booked +Available now +In use +Demand +Weight +"
                                              r"Ballooning$")
        self.assertRegex(rows["web-1"], r"kvm +running +4 GiB +1\.6 GiB +1\.2 GiB +1\.9 GiB +100 +on, short of 300 MiB$")
        self.assertRegex(rows["old-box"], r"off +2 GiB +– +– +–")
        self.assertRegex(rows["fixed-vm"], "unavailable: device-assignment$")
        self.assertIn("evil\\x1b[2J\\u202ename\\x0a", rows)
        # Wide characters: the kind stands below the kind.
        column = out.splitlines()[0].index("Kind")
        self.assertEqual(rows["büro-東京"].index("kvm"), column - 2)

    def test_list_ascii(self):
        out = self.good("list", LC_ALL="C")
        self.assertTrue(out.isascii())
        self.assertIn("b\\u00fcro-\\u6771\\u4eac", out)

    def test_list_empty(self):
        with FakeDaemon("--servers", "0") as daemon:
            self.assertEqual(run("-s", daemon.socket, "list")[1][:11], "No servers.")

    def test_show(self):
        out = self.good("show", "web-1")
        for words in ("Booked          4 GiB", "Available now   1.6 GiB", "In use          1.2 GiB",
                      "Resident        1.4 GiB", "Minimum         1 GiB (default)", "Stalled         1.2 s"):
            self.assertIn(words, out)
        self.assertIn("device is passed through", self.good("show", "fixed-vm"))
        self.assertIn("In use          –", self.good("show", "new-one"))
        self.good("show", "evil\x1b[2J\u202ename\n")

    def test_explain(self):
        out = self.good("explain", "web-1")
        self.assertTrue(out.startswith("web-1 has 1.6 GiB of the 4 GiB it booked"))
        self.assertIn("  - It uses 1.2 GiB", out)
        self.assertIn("2026-01-01 00:00:03  1.5 GiB → 1.8 GiB  grant-need", out)
        self.assertIn("2026-01-01 02:00:03", self.good("explain", "web-1", TZ="Africa/Johannesburg")
                      if os.path.exists("/usr/share/zoneinfo/Africa/Johannesburg") else "2026-01-01 02:00:03")

    def test_journal(self):
        out = self.good("journal")
        self.assertLess(out.index("mail gives"), out.index("web-1 gets"))  # newest last
        for words in ("failed: set balloon", "paid from db-1 (200 MiB), free memory (100 MiB)", "Where memory went"):
            self.assertIn(words, out)
        out = self.good("journal", "db-1")
        self.assertNotIn("mail", out)
        self.assertEqual(len(json.loads(self.good("journal", "--json", "-n", "1"))["decisions"]), 1)

    def test_mode(self):
        self.assertTrue(self.good("mode").startswith("manage: "))
        self.assertTrue(self.good("mode", "observe").startswith("observe (before: manage)"))
        self.assertTrue(self.good("mode", "observe").startswith("observe, as before"))
        self.assertEqual(json.loads(self.good("mode", "manage", "--json")), {"mode": "manage", "before": "observe"})

    def test_set(self):
        self.assertEqual(self.good("set", "web-1", "--minimum", "512M", "--weight", "300"),
                         "web-1: minimum 512 MiB (its own), weight 300 (its own)\n")
        self.assertEqual(self.good("set", "--minimum=50%", "web-1"),
                         "web-1: minimum 2 GiB (its own), weight 300 (its own)\n")
        self.assertEqual(self.good("set", "web-1", "--minimum", "default", "--weight", "default"),
                         "web-1: minimum 1 GiB (default), weight 100 (default)\n")
        self.assertIn("more than web-1 booked", self.bad("set", "web-1", "-m", "1T"))

    def test_not_found(self):
        for args in (("show", "x"), ("explain", "x"), ("journal", "x"), ("set", "x", "-w", "5"),
                     ("set", "x", "-m", "5%")):
            self.assertEqual(self.bad(*args), "aerostat: server x: there is none of this name\n")
        self.assertIn("\\x1b", self.bad("show", "\x1b[2J"))

    def test_json(self):
        for args in (("status",), ("list",), ("show", "web-1"), ("explain", "web-1"), ("mode",), ("journal",),
                     ("set", "web-1", "-w", "5"), ("top",)):
            with self.subTest(args=args):
                value = json.loads(self.good(*args, "--json"))
                self.assertIsInstance(value, dict)
                self.check_bytes(value)
                self.assertEqual(json.loads(self.good("-j", *args, LC_ALL="C")), value)

    def check_bytes(self, value):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and key.endswith("_bytes"):
                self.assertTrue(member is None or type(member) is int, key)
            if isinstance(member, (dict, list)):
                self.check_bytes(member)

    def test_events(self):
        lines = self.good("events", "--json", "--count", "4").splitlines()
        self.assertEqual([json.loads(line)["type"] for line in lines], ["host", "server", "decision", "lost"])
        out = self.good("events", "-n", "4")
        for words in ("host  manage, ok", "server web-1  running", "web-1  1.5 GiB → 1.8 GiB", "12 events were lost"):
            self.assertIn(words, out)
        self.assertIn("gone   old-box", self.good("events", "-n", "5"))
        self.assertIn("web-1 gets 300 MiB", self.good("events", "--only", "decision", "-n", "1"))

    def test_events_end(self):
        with FakeDaemon("--close-after-events") as daemon:
            status, out, err = run("-s", daemon.socket, "events", "--json")
        self.assertEqual((status, len(out.splitlines())), (1, 5))
        self.assertIn("closed the connection", err)

    def test_events_into_closed_pipe(self):
        with FakeDaemon("--live") as daemon:
            process = subprocess.Popen([AEROSTAT, "-s", daemon.socket, "events"], stdout=subprocess.PIPE,
                                       env=environment())
            process.stdout.readline()
            process.stdout.close()
            self.assertIn(process.wait(PATIENCE_S), (-signal.SIGPIPE, 1))

    def test_a_new_password_says_which_tokens_stay(self):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write("a new horse\n")
            file.flush()
            words = ("user", "password", "alice", "--password-file", file.name)
            self.assertRegex(self.good(*words), r"^alice: it has a new password\n3 tokens of it stay valid: .*--user alice")
            self.assertEqual(self.good(*words, "--revoke-tokens"), "alice: it has a new password\n")

    def test_user_options_that_mean_nothing(self):
        for words, where in ((("remove", "alice", "--revoke-tokens"), "--revoke-tokens goes with user password only"),
                             (("password", "alice", "--role", "operator"), "--role goes with user add only")):
            status, _, err = run("-s", self.daemon.socket, "user", *words)
            self.assertEqual(status, 2)
            self.assertIn(where, err)

    def test_doctor(self):
        status, out, err = run("-s", self.daemon.socket, "doctor")
        self.assertEqual((status, err), (1, ""))
        self.assertIsNone(HARMFUL.search(out), out)
        for words in ("problem  evil", "Load virtio_balloon.", "warning  host", "1 problem, 1 warning, 1 note."):
            self.assertIn(words, out)
        status, out, err = run("-s", self.daemon.socket, "doctor", "--json")
        self.assertEqual((status, err, len(json.loads(out)["findings"])), (1, "", 3))
        self.assertIn("ok       web-1", self.good("doctor", "web-1"))
        self.assertIn("there is none", self.bad("doctor", "nobody"))

    def test_record(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "one.recording")
            out = self.good("record", path, "--seconds", "1")
            for words in (path, "2 servers, 2 beats in 2.0 s", "3 beats are missing", "aerostat-sim"):
                self.assertIn(words, out)
            with open(path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
            self.assertEqual((len(lines), lines[0]["aerostat_recording"], lines[2]["lost"]), (3, 1, 3))
            self.assertIn("--force", self.bad("record", path))
            summary = json.loads(self.good("record", path, "-f", "-n", "1", "--json"))
            self.assertEqual(summary, {"file": path, "servers": 2, "beats": 2, "lost": 3, "duration_us": 2_000_000,
                                       "size_bytes": os.path.getsize(path)})
            self.assertIn("No such file or directory", self.bad("record", os.path.join(folder, "none", "x")))
            self.assertIn("--force", self.bad("record", folder))
            with FakeDaemon("--close-after-events") as daemon:
                status, out, err = run("-s", daemon.socket, "record", path, "--force")
            self.assertEqual(status, 1)
            self.assertIn("closed the connection", err)
            self.assertIn("2 beats", out)
            kept = os.path.getsize(path)
            self.assertEqual(run("-s", os.path.join(folder, "none"), "record", path, "--force")[0], 1)
            self.assertEqual(os.path.getsize(path), kept, "replaced although there was nothing to record")

    def test_top_once(self):
        for columns in ("40", "80", "160", "250"):
            out = self.good("top", "--once", COLUMNS=columns)
            self.assertEqual(out, self.good("top", COLUMNS=columns))  # a pipe is no terminal
            for words in ("aerostat", "manage", "ok, short of 300 MiB", "In use", "Booked", "web-1", "old-box",
                          "committed 21.7 GiB"):
                self.assertIn(words, out)
            # Wide characters count for two.
            widths = [len(line) + sum(c in "東京" for c in line) for line in out.splitlines()]
            self.assertLessEqual(max(widths), int(columns))
        with FakeDaemon("--servers", "200") as daemon:
            out = run("-s", daemon.socket, "top", "--once")[1]
            self.assertTrue(all(f"vm-{i:03}" in out for i in range(200)))


class Strangers(unittest.TestCase):
    """A socket whose other end is no daemon, or one that hangs up."""

    def answer(self, words):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            process = subprocess.Popen([AEROSTAT, "-s", path, "status"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env=environment())
            client, _ = listener.accept()
            client.recv(4096)
            client.sendall(words)
            client.close()
            out, err = process.communicate(timeout=PATIENCE_S)
            listener.close()
        self.assertEqual((process.returncode, out), (1, b""))
        return err.decode()

    def test_strangers(self):
        self.assertIn("does not speak JSON-RPC", self.answer(b"SSH-2.0-OpenSSH\r\n"))
        self.assertIn("closed the connection", self.answer(b""))
        self.assertIn("closed the connection", self.answer(b'{"jsonrpc":"2.0","id":1'))
        refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32003, "message": "no\x1b[2J",
                                                          "data": {"kind": "denied"}}}
        self.assertEqual(self.answer(json.dumps(refusal).encode() + b"\n"), "aerostat: no\\x1b[2J\n")

    def test_odd_results(self):
        """Wrong types in an answer are unknown facts, not crashes."""
        for result in ("{}", "[]", "5", '{"state":5,"pool_bytes":"x","problems":[1,null],"backends":[3]}'):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "s")
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(path)
                listener.listen()
                process = subprocess.Popen([AEROSTAT, "-s", path, "status"], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, env=environment())
                client, _ = listener.accept()
                client.recv(4096)
                client.sendall(f'{{"jsonrpc":"2.0","id":1,"result":{result}}}\n'.encode())
                process.communicate(timeout=PATIENCE_S)
                client.close()
                listener.close()
            self.assertEqual(process.returncode, 0, result)


@unittest.skipUnless(shutil.which("tmux"), "tmux is not installed")
class Screen(unittest.TestCase):
    """`top` on a real terminal."""

    def setUp(self):
        self.daemon = FakeDaemon("--servers", "40")
        self.name = "tmux"

    def tearDown(self):
        self.tmux("kill-server")
        self.daemon.__exit__()

    def tmux(self, *args):
        done = subprocess.run(["tmux", "-S", os.path.join(self.daemon.folder.name, self.name),
                               "-f", "/dev/null", *args], capture_output=True, check=False,
                              env=environment(TERM="xterm-256color", ASAN_OPTIONS="detect_leaks=0"))  # ncurses'
        return done.stdout.decode()

    def open(self, width=80, height=24, env="X=1"):
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height),
                  f"env {env} '{AEROSTAT}' -s '{self.daemon.socket}' top; echo ended with $?; sleep 60")

    def see(self, words, absent=None):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            text = self.tmux("capture-pane", "-p")
            if words in text and (absent is None or absent not in text):
                return text
            self.assertLess(time.monotonic(), deadline, f"{words!r} never came:\n{text}")
            time.sleep(0.05)

    def test_keys(self):
        self.open()
        self.see("vm-000")
        self.tmux("send-keys", "End")
        self.see("-40 of 40", absent="vm-000")
        self.tmux("send-keys", "Home")
        self.see("1-")
        self.tmux("send-keys", "s")
        self.see("sort: in use")
        self.tmux("send-keys", "r")
        self.see("sort: in use (r)")
        self.tmux("send-keys", "p")
        self.see("paused")
        self.tmux("send-keys", "p")
        self.see("p pause", absent="paused")
        self.tmux("send-keys", "?")
        self.see("Keys and signs")
        self.tmux("send-keys", "Escape")
        self.see("sort: in use (r)")
        self.tmux("send-keys", "j", "Enter")
        self.see("At the present speed")
        self.tmux("send-keys", "q")
        self.see("sort: in use (r)")
        self.tmux("send-keys", "q")
        self.see("ended with 0")

    def test_resize(self):
        self.open()
        self.see("vm-000")
        for width, height in ((40, 20), (200, 50), (3, 3), (250, 10), (80, 24)):
            self.tmux("resize-window", "-x", str(width), "-y", str(height))
            time.sleep(0.2)
        self.see("1-")
        self.tmux("send-keys", "q")
        self.see("ended with 0")

    def test_reconnect(self):
        self.open()
        self.see("40 servers")
        self.daemon.stop()
        self.see("reconnecting")
        self.daemon.start("--servers", "3")
        self.see("3 servers", absent="reconnecting")

    def test_monochrome(self):
        for env in ("TERM=vt100", "NO_COLOR=1", "TERM=xterm", "LC_ALL=C"):
            with self.subTest(env=env):
                self.name = env
                self.open(env=env)
                self.see("vm-000")
                self.tmux("kill-server")

    def test_no_terminal(self):
        self.open(env="TERM=nonsense")
        self.see("ended with 0")


if __name__ == "__main__":
    AEROSTAT = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
