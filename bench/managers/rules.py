"""What the example managers share: libvirt through virsh, a pool instead of the whole host, a loop until SIGTERM."""

import os
import signal
import subprocess
import sys
import time

MIB = 1 << 20


class Host:
    """The running domains of one libvirt, what they hold, and the pool that their QEMU processes share."""

    def __init__(self, arguments):
        if len(arguments) < 3 or not arguments[-1].isdigit():
            sys.exit(f"usage: {os.path.basename(arguments[0])} URI POOL_BYTES")
        self.uri, self.pool_bytes = arguments[-2], int(arguments[-1])
        self.minimum_bytes = int(os.environ.get("BENCH_MINIMUM_BYTES", 128 * MIB))

    def virsh(self, *arguments):
        return subprocess.run(["virsh", "-q", "-c", self.uri, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, check=True).stdout

    def guests(self):
        """[{name, balloon_bytes, maximum_bytes, free_bytes, resident_bytes}]; free_bytes is None if it is not known."""
        found, guest = [], None
        for line in self.virsh("domstats", "--list-running", "--balloon").splitlines():
            if line.startswith("Domain:"):
                guest = {"name": line.split("'")[1]}
                found.append(guest)
            elif "=" in line and guest is not None:
                key, value = line.strip().split("=", 1)
                guest[key] = int(value)
        return [self._bytes(guest) for guest in found if "balloon.current" in guest]

    @staticmethod
    def _bytes(guest):
        def of(key):
            return guest[key] * 1024 if key in guest else None
        balloon = of("balloon.current")
        return {"name": guest["name"], "balloon_bytes": balloon, "maximum_bytes": of("balloon.maximum"),
                "free_bytes": of("balloon.unused"), "resident_bytes": of("balloon.rss") or balloon}

    def set_size(self, name, size_bytes):
        try:
            self.virsh("setmem", name, f"{int(size_bytes) // 1024}KiB", "--live")
        except (subprocess.SubprocessError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)


def run(beat, period_s):
    """beat() every @period_s until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            beat()
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            print(f"left out a round: {error}", file=sys.stderr, flush=True)
        time.sleep(period_s)
