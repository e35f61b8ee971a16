"""One running guest: its reports and events, commands to its workload, its balloon and its process."""

import collections
import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from labhost import LabError, command_line_of

# Between two measurements of the guest's clock, and how long one counts.
CLOCK_PERIOD_S = 5.0
CLOCK_VALID_S = 60.0
UNKNOWN = 2**64 - 1


def now_us():
    return time.time_ns() // 1000


class Pending:
    """A command that waits for its reply."""

    def __init__(self, command):
        self.command = command
        self.sent_us = now_us()
        self.reply = None


class Guest:
    """A guest of a Lab; made by Lab.start_guest()."""

    def __init__(self, lab, name, uuid, memory_bytes, port_path, console_path):
        self.lab, self.name, self.uuid, self.memory_bytes = lab, name, uuid, memory_bytes
        self.console_path = console_path
        self.events, self.reports = [], collections.deque(maxlen=20000)
        self._latest = {}
        self.malformed_lines = 0
        self.target_bytes = None
        self._port_path, self._socket = port_path, None
        self._changed = threading.Condition()
        self._pending = collections.deque()
        self._clock = collections.deque(maxlen=64)
        self._clock_asked = 0.0
        self._ready_event = None
        self._closed = False
        self._pid = None
        self._thread = threading.Thread(target=self._read_for_ever, name=f"lab-{name}", daemon=True)
        self._thread.start()

    # What the guest says

    @property
    def report(self):
        """The latest report (a dict) of the running boot, or an empty one; .reports keeps all of them."""
        with self._changed:
            return self._latest

    @property
    def ready(self):
        return self._ready_event is not None

    @property
    def clock_offset_us(self):
        """Guest CLOCK_REALTIME less host CLOCK_REALTIME, from the quickest answer of the last minute; None: unknown."""
        best = self._best_clock()
        return None if best is None else best[1]

    @property
    def clock_error_us(self):
        """The offset is at most this wrong: half of the answer's round trip."""
        best = self._best_clock()
        return None if best is None else best[0] // 2

    def _best_clock(self):
        samples = list(self._clock)
        fresh = [sample for sample in samples if sample[2] > time.monotonic() - CLOCK_VALID_S]
        return min(fresh or samples, default=None)

    def host_time_us(self, guest_time_us):
        """The host's CLOCK_REALTIME at the guest's @guest_time_us."""
        return guest_time_us - (self.clock_offset_us or 0)

    def wait_for(self, predicate, timeout=30.0):
        """The first report, now or to come, for which predicate(report) is true; LabError after @timeout seconds."""
        def found():
            return bool(self._latest) and predicate(self._latest) and self._latest
        return self._wait(found, timeout, "no such report")

    def wait_event(self, name, timeout=30.0, since=0):
        """The first event called @name at or after index @since of .events (take len(guest.events) before acting)."""
        def found():
            return next((event for event in self.events[since:] if event.get("event") == name), None)
        return self._wait(found, timeout, f"no event {name!r}")

    def wait_ready(self, timeout=90.0):
        """The latest boot's `ready` event, once its clock has been compared with the host's."""
        return self._wait(lambda: self._clock and self._ready_event, timeout, "not ready")

    def _wait(self, found, timeout, problem):
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                result = found()
                if result:
                    return result
                if self._closed:
                    raise LabError(f"guest {self.name}: {problem}: the lab was closed")
                left = end - time.monotonic()
                if left <= 0:
                    last = self._latest or self.console_text()[-300:]
                    raise LabError(f"guest {self.name}: {problem} within {timeout} s; last: {last}")
                self._changed.wait(min(left, 1.0))

    def send(self, command, timeout=10.0):
        """Sends one command line, returns the guest's reply; LabError when it says no or nothing."""
        self.wait_ready(timeout)
        pending = self._send(command)
        reply = self._wait(lambda: pending.reply, timeout, f"no reply to {command!r}")
        if not reply["ok"]:
            raise LabError(f"guest {self.name}: {command!r}: {reply['error']}")
        return reply

    def _send(self, command):
        pending = Pending(command)
        with self._changed:
            if self._socket is None:
                raise LabError(f"guest {self.name}: not connected")
            self._pending.append(pending)
            self._socket.sendall(command.encode() + b"\n")
        return pending

    # The reader thread

    def _read_for_ever(self):
        while not self._closed:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(self._port_path)
                    connection.settimeout(10)
                    with self._changed:
                        self._socket = connection
                    self._read(connection)
            except OSError:
                pass
            with self._changed:
                self._socket = None
                self._ready_event = None
            time.sleep(0.05)

    def _read(self, connection):
        rest = b""
        while not self._closed:
            try:
                data = connection.recv(65536)
            except socket.timeout:
                continue
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line, now_us())

    def _take(self, line, received_us):
        try:
            message = json.loads(line)
            kind, guest_us = message["type"], message["time_us"]
        except (ValueError, KeyError, TypeError):
            self.malformed_lines += 1
            return
        with self._changed:
            message["received_us"] = received_us
            if kind == "reply":
                self._take_reply(message, received_us)
            elif kind == "event":
                self._take_event(message)
            message["host_time_us"] = self.host_time_us(guest_us) if self._clock else received_us
            if kind == "event":
                self.events.append(message)
            elif kind == "report":
                self.reports.append(message)
                self._latest = message
            self._changed.notify_all()
        if kind == "report" and time.monotonic() - self._clock_asked > CLOCK_PERIOD_S:
            self._ask_clock(1)

    def _take_reply(self, message, received_us):
        if not self._pending:
            return
        pending = self._pending.popleft()
        pending.reply = message
        if pending.command == "clock":
            trip_us = received_us - pending.sent_us
            offset_us = message["time_us"] - (pending.sent_us + trip_us // 2)
            self._clock.append((trip_us, offset_us, time.monotonic()))

    def _take_event(self, message):
        if message.get("event") != "ready":
            return
        for pending in self._pending:
            pending.reply = {"ok": False, "error": "the guest rebooted"}
        self._pending.clear()
        self._clock.clear()
        self._ready_event = message
        self._latest = {}
        self._ask_clock(5)

    def _ask_clock(self, times):
        self._clock_asked = time.monotonic()
        try:
            for _ in range(times):
                self._send("clock")
        except (OSError, LabError):
            pass

    # The balloon and the machine

    def set_memory(self, size_bytes):
        """Asks for a balloon size, as `virsh setmem --live`; the effect comes later."""
        self.target_bytes = size_bytes // 1024 * 1024
        self.lab.virsh("setmem", self.name, f"{size_bytes // 1024}KiB", "--live")

    def qmp(self, command, timeout=20.0, **arguments):
        """One QEMU monitor command through libvirt; returns its `return`."""
        request = json.dumps({"execute": command, "arguments": arguments})
        answer = json.loads(self.lab.virsh("qemu-monitor-command", self.name, request, timeout=timeout))
        if "error" in answer:
            raise LabError(f"guest {self.name}: {command}: {answer['error'].get('desc')}")
        return answer["return"]

    def balloon(self):
        """actual_bytes (live), target_bytes (last asked through this object, or None), stats (known ones only,
        QEMU's names), stats_updated_s (host wall clock, 0: never)."""
        stats = self.qmp("qom-get", path="/machine/peripheral/balloon0", property="guest-stats")
        known = {key: value for key, value in stats["stats"].items() if value != UNKNOWN}
        return {"actual_bytes": self.qmp("query-balloon")["actual"], "target_bytes": self.target_bytes,
                "stats": known, "stats_updated_s": stats["last-update"]}

    def wait_balloon(self, predicate, timeout=30.0, every=0.05):
        """Polls the balloon's actual_bytes until predicate(actual_bytes); returns it."""
        end = time.monotonic() + timeout
        while True:
            actual = self.qmp("query-balloon")["actual"]
            if predicate(actual):
                return actual
            if time.monotonic() > end:
                raise LabError(f"guest {self.name}: balloon at {actual} bytes after {timeout} s")
            time.sleep(every)

    def stats_period(self):
        """How often the running guest is asked for statistics, in seconds; 0: never."""
        return int(dict(re.findall(r"<stats (period)='(\d+)'", self.lab.virsh("dumpxml", self.name))).get("period", 0))

    def set_stats_period(self, seconds):
        self.lab.virsh("dommemstat", self.name, "--period", str(seconds), "--live")

    @property
    def pid(self):
        """QEMU's process id as seen from here (libvirt's own pid file has the one inside the lab); None: not running."""
        mark = self.uuid.encode()
        if self._pid is not None and mark in command_line_of(self._pid):
            return self._pid
        self._pid = None
        for name in os.listdir("/proc"):
            if name.isdigit():
                line = command_line_of(name)
                if mark in line and b"qemu-system" in line.split(b"\0")[0]:
                    self._pid = int(name)
        return self._pid

    def resident_bytes(self):
        """QEMU's whole resident size: guest memory and QEMU's own."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def resident_ram_bytes(self):
        """What of the guest's memory is resident: the mapping that has its size, from smaps."""
        text = Path(f"/proc/{self.pid}/smaps").read_text(encoding="ascii")
        pairs = re.findall(r"^Size: +(\d+) kB\n(?:.*\n)*?Rss: +(\d+) kB", text, re.MULTILINE)
        return max((int(rss) * 1024 for size, rss in pairs if int(size) * 1024 == self.memory_bytes), default=0)

    def reset(self):
        """Pulls the reset line: the guest boots again in the same QEMU."""
        with self._changed:
            self._ready_event = None
        self.lab.virsh("reset", self.name)

    def destroy(self):
        """Ends QEMU at once; start() begins anew."""
        self.lab.virsh("destroy", self.name)

    def start(self):
        self.lab.virsh("start", self.name)

    def stop_process(self):
        """Freezes QEMU (SIGSTOP): a hypervisor that answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def cont_process(self):
        os.kill(self.pid, signal.SIGCONT)

    def console_text(self):
        try:
            return Path(self.console_path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def close(self):
        """Ends the reader; the machine is the lab's to end."""
        self._closed = True
        with self._changed:
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._changed.notify_all()
        self._thread.join(5)
