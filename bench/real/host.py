"""What this machine is, and what processes of it use, from /proc."""

import mmap
import os
import platform
import threading
import time
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def fresh_page_us(pages=1 << 17):
    """
    What the first touch of a page costs, in microseconds; about one where memory is at hand. A machine that is itself a guest
    pays much more while its own host takes memory back, and then every burst measured on it is slow.
    Memory that was freed a moment ago is at hand even then: a small figure proves nothing.
    """
    start = time.perf_counter()
    mmap.mmap(-1, pages * PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
    return (time.perf_counter() - start) * 1e6 / pages


def machine():
    """One line on where this runs."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_kib = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    return f"{os.cpu_count()} x {model}, {memory_kib / (1 << 20):.1f} GiB, Linux {platform.release()}"


def load_average():
    return os.getloadavg()[0]


def cpu_seconds(pid):
    """User and system time of a process and all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


class Residents:
    """The largest sum of resident sizes, looked at five times a second between start and stop."""

    def __init__(self, pids):
        self.pids, self.peak_bytes = list(pids), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                self.peak_bytes = max(self.peak_bytes, sum(map(resident_bytes, self.pids)))
            except (OSError, ValueError, IndexError):
                pass
            if self._stop.wait(0.2):
                return

    def stop(self):
        self._stop.set()
        self._thread.join(5)
        return self.peak_bytes
