"""What all end-to-end tests share: TAP from unittest, real guests, a daemon, and waiting for conditions."""

import atexit
import json
import signal
import sys
import threading
import time
import traceback
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
import aerolab  # noqa: E402
from aerodaemon import ControlError, Daemon, program  # noqa: E402, F401

MIB = 1 << 20
SKIPPED = 77


def wait_until(condition, seconds, problem, every=0.1):
    """Polls until condition() is true and returns its value; AssertionError with @problem (a text or a function)."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = problem() if callable(problem) else problem
            raise AssertionError(f"not within {seconds} s: {text}")
        time.sleep(every)


def hold_for(condition, seconds, problem, every=0.2):
    """Asserts that condition() stays true for all of @seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise AssertionError(problem() if callable(problem) else problem)
        time.sleep(every)


def known_bug(reason):
    """Marks a case that fails until the product is mended: shown and counted as TODO."""
    def mark(method):
        method.known_bug = reason
        return method
    return mark


def balloons(guests):
    """{name: balloon size}, asked of each QEMU itself."""
    return {name: guest.qmp("query-balloon")["actual"] for name, guest in guests.items()}


def in_mib(sizes):
    """For messages."""
    return {name: None if size is None else size // MIB for name, size in sizes.items()}


def start_daemon(uri, pool, mode="manage", **more):
    """A Daemon that knows whether its hypervisor answers, and that also goes when a test is broken off."""
    daemon = Daemon(uri, pool, mode, **more)
    atexit.register(daemon.close)
    daemon.wait(lambda: daemon.call("status")["state"] != "starting", 20, "a first look at the hypervisor")
    return daemon


def cli_json(case, daemon, *arguments):
    """What the command line prints with --json; the case fails unless it ends well and says nothing else."""
    status, out, err = daemon.cli(*arguments, "--json")
    case.assertEqual((status, err), (0, ""), f"aerostat {' '.join(arguments)} --json: {out}{err}")
    return json.loads(out)


def assert_ballooning(case, server, state, reason):
    """What the server says of its ballooning: state and reason, and both in one sentence for people."""
    said = dict(server["ballooning"])
    sentence = said.pop("sentence")
    case.assertEqual(said, {"state": state, "available": state != "unavailable", "reason": reason})
    case.assertRegex(sentence, r"^[A-Z].{20,}\.$")


def all_running(daemon, names):
    """Whether the daemon knows each of @names, past its boot and with statistics."""
    servers = daemon.servers()
    return all(name in servers and servers[name]["state"] == "running" and servers[name]["used_bytes"] is not None
               for name in names)


def settled(daemon):
    """Whether no balloon is on its way: each is where it was asked to be."""
    return all(server["balloon_bytes"] is not None and abs(server["balloon_bytes"] - server["target_bytes"]) < MIB
               for server in daemon.servers().values())


class HostWatch:
    """The host's own view: resident size of every QEMU ten times a second, and the largest sum."""

    def __init__(self, guests):
        self.guests, self.peak_bytes, self.samples = guests, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.1):
            total = 0
            for guest in list(self.guests.values()):
                try:
                    total += guest.resident_bytes()
                except (OSError, ValueError, aerolab.LabError):
                    continue
            self.peak_bytes = max(self.peak_bytes, total)
            self.samples += 1

    def stop(self):
        self._stop.set()
        self._thread.join(5)


class Burst:
    """A growth of one guest's working set; .start_us is the moment before its first page, by the host's clock."""

    def __init__(self, guest, goal_bytes, rate=None):
        self.guest, self.goal_bytes, self._since = guest, goal_bytes, len(guest.events)
        guest.send(f"anon {goal_bytes // MIB}M" + (f" at {rate}" if rate else ""))
        self.start_us = guest.wait_event("burst", 10, self._since)["host_time_us"]

    def outcome(self):
        """`done` or `killed`, or None: it still grows."""
        for event in list(self.guest.events[self._since:]):
            if event.get("event") == "oom":
                return "killed"
            if event.get("event") == "reached" and event["goal_bytes"] == self.goal_bytes:
                return "done"
        return None

    def wait(self, seconds):
        """The outcome; None when it is not over within @seconds."""
        end = time.monotonic() + seconds
        while self.outcome() is None and time.monotonic() < end:
            time.sleep(0.02)
        return self.outcome()


def moves(daemon, name, since_us):
    """What was sent to @name from @since_us on, the first first: decisions of docs/control.md."""
    decisions = daemon.call("journal", name=name, limit=1000)["decisions"]
    sent = [one for one in decisions if one["server"] == name and one["performed"] and one["sent_unix_us"]]
    return sorted((one for one in sent if one["sent_unix_us"] >= since_us), key=lambda one: one["sent_unix_us"])


class Loader(unittest.TestLoader):
    """Cases in the order in which they are written: each finds the guests as the one before left them."""

    def getTestCaseNames(self, testCaseClass):
        names = super().getTestCaseNames(testCaseClass)
        return sorted(names, key=lambda name: getattr(testCaseClass, name).__code__.co_firstlineno)


class TapResult(unittest.TestResult):
    """Writes TAP as the cases end."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self._began = time.monotonic()

    def _line(self, good, test, more=""):
        self.count += 1
        name = test.id().split(".", 1)[-1].replace("#", " ")
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}{more}", flush=True)

    def _tell(self, error):
        for line in "".join(traceback.format_exception(*error)).rstrip().splitlines():
            print("# " + line, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        print(f"# {time.monotonic() - self._began:.1f} s", flush=True)

    def addSuccess(self, test):
        self._line(True, test)

    def addError(self, test, err):
        self._tell(err)
        reason = getattr(getattr(test, getattr(test, "_testMethodName", ""), None), "known_bug", None)
        if reason is None:
            self.errors.append((test, ""))
        self._line(False, test, f" # TODO {reason}" if reason else "")

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addError(subtest, err)

    def addSkip(self, test, reason):
        self.skipped.append((test, reason))
        self._line(True, test, f" # SKIP {reason}")


def lab_problem():
    """Why no guest runs here; None: they do."""
    try:
        aerolab.Lab().close()
    except aerolab.LabUnavailable as error:
        return str(error)
    return None


def main(needs_lab=True):
    """Runs the cases of the calling program; its exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    problem = lab_problem() if needs_lab else None
    if problem:
        print(f"SKIP: {problem}")
        return SKIPPED
    loader, module = Loader(), sys.modules["__main__"]
    wanted = sys.argv[1:]
    suite = loader.loadTestsFromNames(wanted, module) if wanted else loader.loadTestsFromModule(module)
    result = TapResult()
    suite.run(result)
    print(f"1..{result.count}", flush=True)
    return 0 if result.wasSuccessful() and result.count else 1
