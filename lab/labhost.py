"""A private libvirtd that leaves nothing behind: namespaces, folders, start, stop and removal of stale ones."""

import fcntl
import glob
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PREFIX = "aerolab-"
# Longest path of a Unix socket (sun_path) less its terminating zero.
SOCKET_PATH_MAX = 107


class Closing:
    """What `with` ends by close()."""

    def close(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LabError(Exception):
    """Something in the lab failed."""


class LabUnavailable(LabError):
    """This machine cannot run the lab; the text says why."""


QEMU_CONF = """\
# The lab's own. Nothing of the host's is used.
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
seccomp_sandbox = 0
"""

LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
log_outputs = "2:file:{log}"
"""


def need_tools(names):
    """Raises LabUnavailable with the names that are missing from PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in names if not shutil.which(name, path=path)]
    if missing:
        raise LabUnavailable("missing programs: " + ", ".join(missing))


def base_dir():
    """Where labs live: short, because sockets are in it, and writable by this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0 and runtime and len(runtime) < 30 and os.access(runtime, os.W_OK):
        return runtime
    return "/tmp"


def command_line_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid):
    """Whether @pid runs; a zombie (where PID 1 does not reap) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def lab_pids(path):
    """The lab's own processes, by their command lines; not a virsh or an editor that somebody points at it."""
    own = (b"libvirtd", b"qemu-system", b"tini", b"unshare", b"setpriv")
    found = []
    for name in os.listdir("/proc"):
        line = command_line_of(name) if name.isdigit() else b""
        if path.encode() not in line:
            continue
        words = line.split(b"\0")
        supervisor = os.path.basename(words[0]) == b"sh" and words[1].endswith(b"/supervise")
        if supervisor or os.path.basename(words[0]).startswith(own):
            found.append(int(name))
    return found


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def mounts_under(path):
    """Mount points of this process's mount namespace at or below @path."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    return [point for point in points if point == path or point.startswith(path + "/")]


def lock_owner(path):
    """An open descriptor that holds the lab's lock, or None while its owner lives or it is not a lab's."""
    try:
        fd = os.open(f"{path}/owner", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except OSError:
        os.close(fd)
        return None


def remove_stale(base=None):
    """Removes labs whose owner is dead; returns their paths. The lock on `owner` dies with its process."""
    removed = []
    for path in glob.glob(f"{base or base_dir()}/{PREFIX}*"):
        try:
            info = os.lstat(path)
        except OSError:
            continue
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
            continue
        fd = lock_owner(path)
        if fd is None:
            continue
        kill_all(lab_pids(path))
        if not mounts_under(path):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
        os.close(fd)
    return removed


def make_dir():
    """A new lab folder and the descriptor that keeps it; it gets its name only once it is locked."""
    base = base_dir()
    early = tempfile.mkdtemp(prefix="aerolab.new-", dir=base)
    fd = os.open(f"{early}/owner", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, f"{os.getpid()}\n".encode())
    final = f"{base}/{PREFIX}{early.rsplit('-', 1)[1]}"
    os.rename(early, final)
    return final, fd


def may_unshare_user():
    probe = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


class PrivateLibvirtd:
    """libvirtd in its own mount and PID namespace (root), in a user namespace, or as a session daemon."""

    def __init__(self, use_kvm):
        need_tools(["libvirtd", "virsh", "qemu-system-x86_64", "tini", "unshare", "setpriv"])
        self.stale_removed = remove_stale()
        self.dir, self._lock = make_dir()
        self.mode = "system" if os.geteuid() == 0 else "userns" if may_unshare_user() else "session"
        self._process = None
        try:
            self._fill_dir(use_kvm)
            self._spawn()
        except BaseException:
            self.close()
            raise

    @property
    def socket_path(self):
        return f"{self.dir}/run/libvirt/libvirt-sock"

    @property
    def uri(self):
        return f"qemu+unix:///{'system' if self.mode == 'system' else 'session'}?socket={self.socket_path}"

    def _fill_dir(self, use_kvm):
        root = Path(self.dir)
        etc = root / "etc" if self.mode == "system" else root / "etc" / "libvirt"
        for path in [etc, *(root / name for name in ("run/libvirt", "lib", "log", "cache", "s", "disk", "drivers"))]:
            path.mkdir(parents=True)
        conf = QEMU_CONF
        if self.mode == "system":
            conf += 'user = "root"\ngroup = "root"\n'
        (etc / "qemu.conf").write_text(conf)
        (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(log=root / "log" / "libvirtd.log"))
        drivers = [path for libs in ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
                   for path in glob.glob(f"{libs}/libvirt/connection-driver/libvirt_driver_qemu.so")]
        if not drivers:
            raise LabUnavailable("libvirt's QEMU driver is missing (libvirt-daemon-driver-qemu)")
        (root / "drivers" / "libvirt_driver_qemu.so").symlink_to(drivers[0])
        if not use_kvm:
            (root / "no-kvm").touch(0o444)

    def _command(self):
        inside = ["tini", "-s", "--", "sh", str(HERE / "supervise"), self.mode, self.dir]
        spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        if self.mode == "userns":
            ids = [str(os.geteuid()), str(os.getegid())]
            return ["unshare", "--user", "--map-root-user", *spaces, *inside, *ids]
        command = ["unshare", *spaces, *inside] if self.mode == "system" else inside
        # The kernel sends this signal at the end of the *thread* that started the process.
        if threading.current_thread() is threading.main_thread() and self.mode == "system":
            command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        return command

    def _spawn(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("LIBVIRT_", "VIR"))}
        environment["PATH"] = environment.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
        environment["LC_ALL"] = "C"
        # Its own session: Ctrl-C in a terminal is for us, and we then end it in order.
        self._process = subprocess.Popen(
            self._command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, env=environment, cwd="/")
        self._expect("ready")

    def _expect(self, word):
        lines = []
        for line in iter(self._process.stdout.readline, b""):
            lines.append(line.decode(errors="replace").strip())
            if lines[-1] == word:
                return
        raise LabUnavailable("cannot make the lab's namespace: " + "; ".join(lines))

    def _tell(self, command, answer):
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise LabError(f"the lab's supervisor is gone: {error}") from error
        self._expect(answer)

    def start(self, timeout=30.0):
        """Starts libvirtd and returns when it answers."""
        self._tell("start", "started")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.socket_path)
                # It listens before its drivers are there, and lets clients in after.
                subprocess.run(["virsh", "-q", "-c", self.uri, "uri"], stdin=subprocess.DEVNULL, capture_output=True,
                               check=True, timeout=max(1.0, end - time.monotonic()))
                return
            except OSError:
                time.sleep(0.01)
            except subprocess.SubprocessError:
                break
        raise LabError("libvirtd did not start: " + self.log_tail())

    def stop(self, kill=False):
        """Ends libvirtd (SIGTERM, or SIGKILL); its guests go on."""
        self._tell("kill" if kill else "stop", "stopped")

    def log_tail(self):
        text = ""
        for name in ("libvirtd.out", "libvirtd.log"):
            try:
                text += Path(self.dir, "log", name).read_text(errors="replace")
            except OSError:
                pass
        return text[-2000:] or "no log"

    def pids(self):
        """Every process of this lab, as seen from outside."""
        return lab_pids(self.dir)

    def close(self):
        """Ends every process of the lab and removes its folder. May be called twice."""
        if self._process is not None:
            self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._process = None
        if self._lock is not None:
            kill_all(self.pids())
            if mounts_under(self.dir):
                raise LabError(f"something is mounted below {self.dir}: left alone")
            shutil.rmtree(self.dir, ignore_errors=True)
            os.close(self._lock)
            self._lock = None
