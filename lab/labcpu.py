"""One scheduling group for a lab and whoever starts it, as on a host whose kernel has no groups of its own making.

Linux puts each session into a group that shares processors with the others (sched_autogroup_enabled), and libvirtd, each
QEMU and the daemon are sessions. With more busy guests than cores, threads that only answer were seen to wait 0.3 s for a
core in that arrangement, and less than 15 ms in one group.
"""

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup/cpu")
UNIFIED = Path("/sys/fs/cgroup")
PREFIX = "aerolab-"


def _own_path(controller):
    """The control group of this process; "cpu": of the controller of the first version, "": of the second. None: there is none."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return None


def _remove_stale():
    """Those of labs that were killed: a folder with processes in it stays."""
    for old in ROOT.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            old.rmdir()


def grouped_by_session():
    """Whether sessions are groups here: the kernel makes them, for whoever has been put into none."""
    try:
        made = Path("/proc/sys/kernel/sched_autogroup_enabled").read_text(encoding="ascii").strip() == "1"
    except OSError:
        made = False
    first, second = _own_path("cpu"), _own_path("")
    put = first != "/" if first is not None else (UNIFIED / (second or "/").lstrip("/") / "cpu.weight").exists()
    return made and not put


class OneGroup:
    """This process, and all that it starts from now on. Without the right to it, or where it changes nothing, nothing is done."""

    def __init__(self):
        self._path = None
        if os.geteuid() != 0 or not ROOT.is_dir() or not grouped_by_session() or _own_path("cpu") is None:
            return
        _remove_stale()
        path = ROOT / f"{PREFIX}{os.getpid()}"
        with contextlib.suppress(OSError):
            path.mkdir(exist_ok=True)
            (path / "cgroup.procs").write_text(str(os.getpid()))
            self._path = path

    def close(self):
        """Back to where it was. May be called twice."""
        path, self._path = self._path, None
        if path is None:
            return
        with contextlib.suppress(OSError):
            (ROOT / "cgroup.procs").write_text(str(os.getpid()))
            path.rmdir()
