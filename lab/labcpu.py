"""One scheduling group for a lab and whoever starts it.

Linux makes each session a group that shares processors with the others (sched_autogroup_enabled), and libvirtd, each QEMU
and the daemon are sessions. With more busy guests than cores, threads that only answer were seen to wait 0.3 s for a core in
that arrangement, and less than 15 ms in one group. A host where libvirt gives each QEMU a group, and one to each of its
virtual processors, is between the two: libvirtd and the daemon do not wait there, QEMU's own threads do.
"""

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup/cpu")
PREFIX = "aerolab-"
# What the kernel gives a group, for one core.
SHARES = 1024


def _own_path():
    """Of this process, in the processor controller; None where that is not of the first version."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            return path
    return None


def remove_stale():
    """Those of labs that were killed."""
    for old in ROOT.glob(PREFIX + "*"):
        if not Path("/proc", old.name[len(PREFIX):]).exists():
            with contextlib.suppress(OSError):
                old.rmdir()


def can_group():
    """Whether sessions are groups here that a lab can put into one: the kernel makes them, for whoever has been put into none."""
    if os.geteuid() != 0 or not ROOT.is_dir():
        return False
    try:
        made = Path("/proc/sys/kernel/sched_autogroup_enabled").read_text(encoding="ascii").strip() == "1"
    except OSError:
        made = False
    return made and _own_path() == "/"


class OneGroup:
    """This process, and all that it starts from now on. Without the right to it, or where it changes nothing, nothing is done."""

    def __init__(self):
        self._path, self.in_force = None, False
        if not can_group():
            return
        remove_stale()
        path = ROOT / f"{PREFIX}{os.getpid()}"
        with contextlib.suppress(OSError):
            path.mkdir(exist_ok=True)
            self._path = path
            # As much as its sessions had: a group has otherwise no more than one of them.
            (path / "cpu.shares").write_text(str(SHARES * (os.cpu_count() or 1)))
            (path / "cgroup.procs").write_text(str(os.getpid()))
            self.in_force = True

    def close(self):
        """Back to where it was. May be called twice."""
        path, self._path, self.in_force = self._path, None, False
        if path is None:
            return
        with contextlib.suppress(OSError):
            (ROOT / "cgroup.procs").write_text(str(os.getpid()))
        with contextlib.suppress(OSError):
            path.rmdir()
