"""Real LXC containers for tests: a folder of their own, a busybox system in each, and nothing left behind.

    with Containers() as containers:
        containers.create("old-1", memory_bytes=256 << 20)
        containers.start("old-1")
        containers.hold("old-1", 64 << 20)
"""

import atexit
import fcntl
import glob
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from labhost import Closing, LabError, LabUnavailable, lock_owner, mounts_under, need_tools

PREFIX = "/tmp/aerolxc-"
APPLETS = ("sh", "cat", "dd", "kill", "mount", "poweroff", "rm", "sleep")
# lxc-stop asks PID 1 by SIGPWR.
INIT = """\
#!/bin/sh
trap '[ -e /deaf ] || exit 0' PWR TERM INT
/bin/mount -t tmpfs none /tmp
echo up >/up
while :; do /bin/sleep 1000 & wait $!; done
"""
CONFIG = """\
lxc.rootfs.path = dir:{root}
lxc.uts.name = container
lxc.init.cmd = /sbin/init
lxc.net.0.type = none
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:mixed sys:ro
lxc.tty.max = 0
lxc.pty.max = 1
"""


def _run(*command, timeout=30.0):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=timeout)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stdout.strip()[-500:] or done.returncode}")
    return done.stdout


def _end(path):
    """Kills the containers of a folder and removes it."""
    for config in glob.glob(f"{path}/c/*/"):
        name = os.path.basename(os.path.dirname(config))
        subprocess.run(["lxc-stop", "-k", "-P", f"{path}/c", "-n", name], stdin=subprocess.DEVNULL, capture_output=True,
                       check=False, timeout=30)
    if mounts_under(path):
        raise LabError(f"something is mounted below {path}: left alone")
    shutil.rmtree(path, ignore_errors=True)


def remove_stale():
    """Ends what the containers' owner left when it was killed: its lock dies with it."""
    for path in glob.glob(PREFIX + "*"):
        fd = lock_owner(path)
        if fd is not None:
            _end(path)
            os.close(fd)


class Containers(Closing):
    """A folder of containers. Everything ends with `with`, with close(), or at the next start."""

    def __init__(self):
        if os.geteuid() != 0:
            raise LabUnavailable("containers need root here")
        need_tools(["lxc-start", "lxc-stop", "lxc-info", "lxc-attach", "busybox"])
        remove_stale()
        self._dir = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self._dir / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = str(self._dir / "c")
        os.mkdir(self.path)
        atexit.register(self.close)
        try:
            self._try_one()
        except BaseException:
            self.close()
            raise

    def _try_one(self):
        self.create("try")
        try:
            self.start("try")
        except LabError as error:
            raise LabUnavailable(f"no container starts here: {error}") from error
        self.kill("try")
        shutil.rmtree(self.folder("try"))

    def folder(self, name):
        return Path(self.path, name)

    def create(self, name, memory_bytes=None, more=""):
        """Defines a container; @memory_bytes: its limit, None for none; @more: lines of its config."""
        root = self.folder(name) / "rootfs"
        for folder in ("bin", "dev", "proc", "sbin", "sys", "tmp"):
            (root / folder).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        (root / "sbin" / "init").write_text(INIT, encoding="utf-8")
        (root / "sbin" / "init").chmod(0o755)
        limit = ""
        if memory_bytes is not None:
            limit = f"lxc.cgroup.memory.limit_in_bytes = {memory_bytes}\nlxc.cgroup2.memory.max = {memory_bytes}\n"
        (self.folder(name) / "config").write_text(CONFIG.format(root=root) + limit + more, encoding="utf-8")

    def start(self, name, timeout=20.0):
        """Starts it by hand and returns when its init runs."""
        up = self.folder(name) / "rootfs" / "up"
        up.unlink(missing_ok=True)
        log = self._dir / f"{name}.log"
        try:
            _run("lxc-start", "-d", "-P", self.path, "-n", name, "-l", "ERROR", "-o", str(log))
        except LabError as error:
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            raise LabError(f"{error}; {'; '.join(lines[:2])}") from error
        end = time.monotonic() + timeout
        while not up.exists():
            if time.monotonic() > end:
                raise LabError(f"container {name} is not up within {timeout} s")
            time.sleep(0.02)

    def kill(self, name):
        _run("lxc-stop", "-k", "-P", self.path, "-n", name)

    def state(self, name):
        """RUNNING, STOPPED, FROZEN."""
        return _run("lxc-info", "-P", self.path, "-n", name, "-s").split()[-1]

    def monitor_pid(self, name):
        """The process that watches over the container and answers for it."""
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                words = Path(folder, "cmdline").read_bytes().split(b"\0")[0]
            except OSError:
                continue
            if words == f"[lxc monitor] {self.path} {name}".encode():
                return int(os.path.basename(folder))
        raise LabError(f"container {name} has no monitor process")

    def deafen(self, name, deaf=True):
        """Whether its init does not hear when it is asked to shut down."""
        path = self.folder(name) / "rootfs" / "deaf"
        if deaf:
            path.touch()
        else:
            path.unlink()

    def hold(self, name, size_bytes):
        """Has it hold so much memory, in a file system that lives in memory."""
        _run("lxc-attach", "-P", self.path, "-n", name, "--", "/bin/dd", "if=/dev/zero", "of=/tmp/held", "bs=1048576",
             f"count={size_bytes >> 20}")

    def freeze(self, name):
        _run("lxc-freeze", "-P", self.path, "-n", name)

    def unfreeze(self, name):
        _run("lxc-unfreeze", "-P", self.path, "-n", name)

    def close(self):
        """Ends every container and removes the folder. May be called twice."""
        atexit.unregister(self.close)
        if self._lock is not None:
            _end(str(self._dir))
            os.close(self._lock)
            self._lock = None
