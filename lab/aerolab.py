"""Real guests for tests, demo and bench: a private libvirtd, small Linux guests with a scriptable memory workload.

    with Lab() as lab:
        guest = lab.start_guest("web-1", 512 << 20, script="anon:100M@50M")
        guest.wait_ready()
        guest.wait_for(lambda report: report["anon_bytes"] == 100 << 20)
"""

import atexit
import os
import re
import shutil
import subprocess
import threading
import uuid as uuids
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import labkvm
import labxml
from labcpu import OneGroup
from labguest import Guest
from labhost import Closing, LabError, LabUnavailable, PrivateLibvirtd, SOCKET_PATH_MAX, need_tools

__all__ = ["Guest", "Lab", "LabError", "LabUnavailable", "guest_image", "accelerator"]

HERE = Path(__file__).resolve().parent
DISK_BYTES = 4 << 30
# Faster boots, and nothing that a guest of the lab would need.
APPEND = "console=ttyS0 quiet psi=1 mitigations=off random.trust_cpu=on panic=1"


def guest_image(output=None):
    """Builds the guest's kernel and initramfs if needed; returns their folder. Raises LabUnavailable offline."""
    command = [str(HERE / "build-guest")] + (["--output", str(output)] if output else [])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        problem = done.stderr.strip() or f"build-guest failed with {done.returncode}"
        raise (LabUnavailable if done.returncode == 3 else LabError)(problem)
    return done.stdout.strip().splitlines()[-1]


def accelerator(image=None, wanted="auto"):
    """("kvm" or "tcg", why)."""
    if wanted == "tcg":
        return "tcg", "asked for"
    need_tools(["qemu-system-x86_64"])
    usable, reason = labkvm.check(image or guest_image())
    if wanted == "kvm" and not usable:
        raise LabUnavailable("KVM was asked for: " + reason)
    return ("kvm" if usable else "tcg"), reason


class Lab(Closing):
    """A private libvirtd with guests. Everything ends with `with`, with close(), or with this process."""

    def __init__(self, dir=None, accelerator_wanted="auto", image=None):
        """@dir: keeps logs and consoles when the lab is gone; None: they go with it."""
        self.guests = {}
        self.image = str(image or guest_image())
        self.accelerator, self.accelerator_reason = accelerator(self.image, accelerator_wanted)
        self._keep = Path(dir).resolve() if dir else None
        self._names = threading.Lock()
        self._group = OneGroup()
        try:
            self._libvirtd = PrivateLibvirtd(self.accelerator == "kvm")
        except BaseException:
            self._group.close()
            raise
        atexit.register(self.close)
        try:
            self._libvirtd.start()
        except BaseException:
            self.close()
            raise

    @property
    def uri(self):
        """For any libvirt client on this machine."""
        return self._libvirtd.uri

    @property
    def dir(self):
        """The lab's own folder, gone with it."""
        return self._libvirtd.dir

    @property
    def mode(self):
        """`system` (root), `userns` or `session` (ordinary user with or without user namespaces)."""
        return self._libvirtd.mode

    @property
    def one_group(self):
        """Whether all of the lab shares processors as one group (labcpu.py)."""
        return self._group.in_force

    @property
    def stale_removed(self):
        """Folders of dead labs that this one removed at its start."""
        return self._libvirtd.stale_removed

    def pids(self):
        """All processes of the lab, seen from outside."""
        return self._libvirtd.pids()

    def virsh(self, *arguments, timeout=30.0):
        """Runs one virsh command; returns its output, LabError with its message."""
        command = ["virsh", "-q", "-c", self.uri, *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"virsh {' '.join(arguments[:2])}: no answer within {timeout} s") from error
        if done.returncode != 0:
            raise LabError(f"virsh {' '.join(arguments[:2])}: {done.stderr.strip()}")
        return done.stdout.strip()

    def domains(self):
        """{name: state} of all domains that this libvirtd knows."""
        rows = [line.split(None, 2) for line in self.virsh("list", "--all").splitlines() if line.strip()]
        return {row[1]: row[2] for row in rows}

    def start_libvirtd(self):
        self._libvirtd.start()

    def stop_libvirtd(self, kill=False):
        """Ends libvirtd, by SIGKILL if @kill; the guests go on."""
        self._libvirtd.stop(kill)

    def restart_libvirtd(self, kill=False):
        self.stop_libvirtd(kill)
        self.start_libvirtd()

    def start_guest(self, name, memory_bytes, script="", *, deflate_on_oom=True, free_page_reporting=True,
                    balloon=True, balloon_driver=True, swap_bytes=0, disk_bytes=DISK_BYTES, stats_period=None,
                    locked=False, preallocated=False, agent_port=True, agent=None, files=None, append="",
                    extra_xml=""):
        """Defines and starts a guest and returns at once (see Guest.wait_ready()).

        @script: see README.md; @swap_bytes, @disk_bytes: sparse disks for `swap on` and `cache`, 0 for none
        @balloon_driver: False boots a guest that does not load virtio_balloon
        @agent: host path of a static aerostat-agent that init starts; @files: more {guest path: host path}
        @append: more of the kernel command line; @extra_xml: more devices
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", name):
            raise LabError(f"not a name for a guest: {name!r}")
        uuid = str(uuids.uuid4())
        paths = {port: f"{self.dir}/s/{name}.{port}" for port in ("lab", "agent")}
        if max(map(len, paths.values())) > SOCKET_PATH_MAX:
            raise LabError(f"path of a socket too long: {paths['agent']}")
        console = f"{self.dir}/log/{name}.console"
        files = dict(files or {}, **({"/sbin/aerostat-agent": agent} if agent else {}))
        devices = f"<serial type='file'><source path='{console}'/><target port='0'/></serial>"
        devices += labxml.channel(paths["lab"], labxml.LAB_PORT)
        devices += labxml.channel(paths["agent"], labxml.AGENT_PORT) if agent_port else ""
        devices += self._disks(name, {"cache": disk_bytes, "swap": swap_bytes})
        document = labxml.domain(
            name=name, uuid=uuid, memory_bytes=memory_bytes, kvm=self.accelerator == "kvm", image=self.image,
            initrd=labxml.initramfs_with(f"{self.image}/initramfs.gz", files, f"{self.dir}/disk"),
            append=self._append(script, balloon_driver, append),
            balloon_xml=labxml.balloon(balloon, deflate_on_oom, free_page_reporting, stats_period),
            devices=devices, locked=locked, preallocated=preallocated, extra=extra_xml)
        return self._start(name, uuid, memory_bytes, document, paths["lab"], console)

    def _start(self, name, uuid, memory_bytes, document, port, console):
        path = Path(self.dir, "disk", f"{name}.xml")
        with self._names:
            if name in self.guests:
                raise LabError(f"there is a guest {name} already")
            self.guests[name] = None
        try:
            path.write_text(document, encoding="utf-8")
            self.virsh(f"define {path}; start {name}", timeout=120.0)
            self.guests[name] = Guest(self, name, uuid, memory_bytes, port, console)
        except BaseException:
            del self.guests[name]
            raise
        return self.guests[name]

    @staticmethod
    def _append(script, balloon_driver, append):
        if '"' in script:
            raise LabError("a script may not hold double quotes")
        words = [APPEND] + ([append] if append else []) + ([] if balloon_driver else ["aerolab.balloon=off"])
        # The kernel takes 2048 bytes.
        line = " ".join(words + ([f'aerolab.script="{script}"'] if script else []))
        if len(line) > 2000:
            raise LabError("script too long for the kernel command line: send it with `script`")
        return line

    def _disks(self, name, sizes):
        xml = ""
        for letter, (serial, size_bytes) in zip("abcdefgh", ((k, v) for k, v in sizes.items() if v)):
            path = f"{self.dir}/disk/{name}.{serial}"
            xml += labxml.disk(path, f"vd{letter}", serial, labxml.make_disk(path, size_bytes))
        return xml

    def start_guests(self, guests, **common):
        """Starts many at the same time: {name: {memory_bytes: …, …}}; returns {name: Guest}."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            started = {name: pool.submit(self.start_guest, name, **{**common, **own}) for name, own in guests.items()}
        return {name: future.result() for name, future in started.items()}

    def remove_guest(self, name):
        """Ends a guest and forgets it, so that its name is free again."""
        guest = self.guests[name]
        try:
            self.virsh("destroy", name)
        except LabError:
            pass
        self.virsh("undefine", name)
        guest.close()
        del self.guests[name]

    def close(self):
        """Ends guests, libvirtd and namespaces, removes the folder. May be called twice."""
        atexit.unregister(self.close)
        for guest in [guest for guest in self.guests.values() if guest is not None]:
            guest.close()
        if self._keep is not None and os.path.isdir(f"{self.dir}/log"):
            shutil.copytree(f"{self.dir}/log", self._keep, dirs_exist_ok=True)
            self._keep = None
        try:
            self._libvirtd.close()
        finally:
            self._group.close()
