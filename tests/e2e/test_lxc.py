"""Real containers beside real guests: listed, counted, fixed; and made virtual machines."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import e2e
from e2e import MIB
from lablxc import Containers

# Kills a daemon at the very call that a test names.
DIE_AT = os.path.join(os.environ.get("AEROSTAT_BUILD", "build/release"), "tests/e2e/libdie_at.so")

LIMIT_BYTES = 256 * MIB
GUEST_BYTES = 512 * MIB
POOL_BYTES = 1400 * MIB


def containers_or_skip(case):
    try:
        containers = Containers()
    except e2e.aerolab.LabUnavailable as error:
        raise unittest.SkipTest(str(error)) from error
    case.addClassCleanup(containers.close)
    return containers


class Listed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.containers = containers_or_skip(cls)
        cls.containers.create("old-1", LIMIT_BYTES)
        cls.containers.create("old-2")
        cls.containers.create("other-1")
        cls.containers.start("old-1")
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.guest = cls.lab.start_guest("web-1", GUEST_BYTES, stats_period=1, script="anon:60M")
        cls.daemon = e2e.start_daemon(cls.lab.uri, f"{POOL_BYTES // MIB}M", minimum="128M",
                                      extra=f"[lxc]\npath={cls.containers.path}\nservers=old-*")
        cls.addClassCleanup(cls.daemon.close)
        cls.guest.wait_ready()
        cls.daemon.wait(lambda: e2e.all_running(cls.daemon, ["web-1", "old-1"]), 30, "both known")

    def server(self, name):
        return self.daemon.servers()[name]

    def test_listed_as_containers(self):
        servers = self.daemon.servers()
        self.assertEqual(sorted(servers), ["old-1", "old-2", "web-1"])
        self.assertEqual({name: server["kind"] for name, server in servers.items()},
                         {"old-1": "lxc", "old-2": "lxc", "web-1": "kvm"})
        old = servers["old-1"]
        self.assertEqual((old["state"], old["maximum_bytes"], old["fixed"]), ("running", LIMIT_BYTES, "container"))
        self.assertEqual(old["committed_bytes"], LIMIT_BYTES)
        self.assertEqual((old["ballooning"]["state"], old["ballooning"]["reason"]), ("unavailable", "container"))
        self.assertEqual((servers["old-2"]["state"], servers["old-2"]["unlimited"]), ("off", True))

    def test_what_it_uses_is_seen(self):
        before = self.server("old-1")["used_bytes"]
        self.assertLess(before, 32 * MIB)
        self.containers.hold("old-1", 100 * MIB)
        used = e2e.wait_until(lambda: max(0, self.server("old-1")["used_bytes"] - before - 95 * MIB), 5,
                              lambda: str(self.server("old-1")))
        self.assertLess(used, 15 * MIB)

    def test_why_and_the_way_out(self):
        status, out, _ = self.daemon.cli("show", "old-1")
        self.assertEqual(status, 0)
        self.assertIn("container", out)
        self.assertIn("Reinstall it on KVM", out)

    def test_without_a_limit_it_counts_at_what_it_holds(self):
        self.containers.start("old-2")
        self.containers.hold("old-2", 50 * MIB)
        server = e2e.wait_until(lambda: self.grown("old-2"), 8, lambda: str(self.server("old-2")))
        self.assertTrue(server["unlimited"])
        self.assertLess(server["committed_bytes"], 80 * MIB)
        self.assertEqual(self.daemon.call("status")["state"], "ok")

    def grown(self, name):
        server = self.server(name)
        return server if (server["committed_bytes"] or 0) >= 50 * MIB else None

    def test_one_that_hangs_stands_alone(self):
        """Its monitor process is stopped: nobody waits for it, and it comes back."""
        monitor = self.containers.monitor_pid("old-2")
        os.kill(monitor, signal.SIGSTOP)
        try:
            e2e.wait_until(lambda: self.server("old-2")["state"] == "unresponsive", 15,
                           lambda: str(self.server("old-2")))
            beats = self.daemon.call("status")["beats"]
            e2e.wait_until(lambda: self.daemon.call("status")["beats"] >= beats + 3, 6, self.daemon.situation)
            self.assertEqual(self.server("old-1")["state"], "running")
        finally:
            os.kill(monitor, signal.SIGCONT)
        e2e.wait_until(lambda: self.server("old-2")["state"] == "running", 10, lambda: str(self.server("old-2")))

    def test_frozen_and_gone(self):
        self.containers.freeze("old-2")
        e2e.wait_until(lambda: self.server("old-2")["state"] == "paused", 10, lambda: str(self.server("old-2")))
        self.containers.unfreeze("old-2")
        self.containers.kill("old-2")
        e2e.wait_until(lambda: self.server("old-2")["state"] == "off", 5, lambda: str(self.server("old-2")))
        self.assertEqual(self.server("old-2")["committed_bytes"], 0)

    def test_the_daemon_goes_and_the_container_stays(self):
        before = self.server("old-1")["id"]
        self.daemon.stop(kill=True)
        self.assertEqual(self.containers.state("old-1"), "RUNNING")
        self.daemon.start()
        server = e2e.wait_until(lambda: self.daemon.servers().get("old-1"), 10, self.daemon.situation)
        self.assertEqual((server["id"], server["state"]), (before, "running"))

    def test_power(self):
        """Stopped, started and restarted by the command line; a restart is another init."""
        for verb, state in (("stop", "off"), ("start", "running")):
            status, out, err = self.daemon.cli(verb, "old-1", timeout=60)
            self.assertEqual((status, err), (0, ""), out)
            self.assertEqual(self.containers.state("old-1"), "RUNNING" if state == "running" else "STOPPED")
            e2e.wait_until(lambda state=state: self.server("old-1")["state"] == state, 10, lambda: str(self.server("old-1")))
        before = self.containers.monitor_pid("old-1")
        status, out, err = self.daemon.cli("restart", "old-1", timeout=90)
        self.assertEqual((status, err), (0, ""), out)
        self.assertIn("restarted", out)
        self.assertNotEqual(self.containers.monitor_pid("old-1"), before)
        self.assertEqual(self.containers.state("old-1"), "RUNNING")
        self.assertEqual(self.server("old-1")["committed_bytes"], LIMIT_BYTES)

    def test_one_without_a_limit_starts(self):
        """It counts at what it holds, so nothing has to be made free for all of the host's memory."""
        status, out, err = self.daemon.cli("start", "old-2", timeout=60)
        self.assertEqual((status, err), (0, ""), out)
        self.assertEqual(self.containers.state("old-2"), "RUNNING")

    def test_no_limit_is_said(self):
        for verb in (("list",), ("show", "old-2"), ("explain", "old-2")):
            status, out, err = self.daemon.cli(*verb)
            self.assertEqual((status, err), (0, ""), out)
            self.assertIn("no limit", out, verb)
        rows = {line.split()[0]: line for line in self.daemon.cli("list")[1].splitlines() if line.strip()}
        self.assertIn("no limit", rows["old-2"])
        self.assertIn("256 MiB", rows["old-1"])
        self.assertNotIn("no limit", rows["old-1"])

    def test_no_room_for_a_container(self):
        """It has no QEMU, and the refusal does not speak of one."""
        self.containers.create("old-3", 4096 * MIB)
        self.daemon.wait(lambda: "old-3" in self.daemon.servers(), 15, "old-3")
        status, out, err = self.daemon.cli("start", "old-3", timeout=60)
        self.assertEqual(status, 1, out)
        self.assertRegex(err, r"no room for 4 GiB: .*\d+ bytes missing")
        self.assertNotIn("overhead", err)
        self.assertEqual(self.containers.state("old-3"), "STOPPED")


IMAGE = """\
[image]
title = The lab's own
minimum = 128MiB
kernel = {image}/vmlinuz
initramfs = {image}/initramfs.gz
command-line = console=ttyS0 quiet psi=1 mitigations=off panic=1
"""
MEMORY_BYTES = 256 * MIB
DISK_BYTES = 64 * MIB


def write_images(folder, image):
    """Descriptions of images: one that boots, one whose kernel is no kernel, one that is too large, one without files."""
    folder.mkdir()
    good = IMAGE.format(image=image)
    (folder / "lab.conf").write_text(good, encoding="utf-8")
    (folder / "large.conf").write_text(good.replace("128MiB", "4GiB"), encoding="utf-8")
    (folder / "lost.conf").write_text(good.replace("vmlinuz", "no-such-file"), encoding="utf-8")
    (folder / "not-a-kernel").write_text("nothing that boots", encoding="utf-8")
    (folder / "bad.conf").write_text(good.replace(f"{image}/vmlinuz", str(folder / "not-a-kernel")), encoding="utf-8")
    # A sparse template that no disk has room for once it is not sparse.
    (folder / "disk.conf").write_text("[image]\ntitle = With a disk\nminimum = 64MiB\ndisk = template\nformat = raw\n",
                                      encoding="utf-8")
    (folder / "template").write_bytes(b"x" * (4 * MIB))
    write_qcow2(folder, good)


def qcow2(disk_bytes, content):
    """A qcow2 file, version 2: header, refcount table, refcount block, L1, one L2, then @content from the disk's begin."""
    cluster, used, copied = 1 << 16, 5, 1 << 63
    data = -(-len(content) // cluster)
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, disk_bytes, 0, 1, 3 * cluster, cluster, 1, 0, 0)
    tables = (header, struct.pack(">Q", 2 * cluster), struct.pack(">H", 1) * (used + data),
              struct.pack(">Q", 4 * cluster | copied),
              b"".join(struct.pack(">Q", (used + i) * cluster | copied) for i in range(data)))
    return b"".join(table.ljust(cluster, b"\0") for table in tables) + content.ljust(data * cluster, b"\0")


def write_qcow2(folder, good):
    """A disk of 64 MiB of which 3 MiB are written, beside a kernel that boots. Written by hand: qemu-img need not be there."""
    (folder / "template.qcow2").write_bytes(qcow2(DISK_BYTES, os.urandom(3 * MIB)))
    (folder / "qcow2.conf").write_text(good + "disk = template.qcow2\nformat = qcow2\n", encoding="utf-8")


class Reinstalled(unittest.TestCase):
    """One container is made a virtual machine, after everything that could go wrong on the way has."""

    @classmethod
    def setUpClass(cls):
        cls.containers = containers_or_skip(cls)
        cls.lab = e2e.aerolab.Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.images = Path(tempfile.mkdtemp(prefix="aeroimg-")) / "images"
        cls.addClassCleanup(shutil.rmtree, cls.images.parent, True)
        write_images(cls.images, cls.lab.image)
        cls.disks = cls.images.parent / "disks"
        cls.disks.mkdir()
        cls.daemon = e2e.start_daemon(
            cls.lab.uri, "1400M", minimum="64M",
            extra=f"[lxc]\npath={cls.containers.path}\n[images]\npath={cls.images}\ndisks={cls.disks}")
        cls.addClassCleanup(cls.daemon.close)
        cls.new_container("old-1")
        cls.daemon.call("set", name="old-1", weight=300)

    @classmethod
    def new_container(cls, name):
        cls.containers.create(name, MEMORY_BYTES)
        cls.containers.start(name)
        cls.daemon.wait(lambda: cls.daemon.servers().get(name, {}).get("state") == "running", 15, name)

    def server(self, name="old-1"):
        return self.daemon.servers()[name]

    def refused(self, kind, words, **params):
        with self.assertRaises(e2e.ControlError) as caught:
            self.daemon.call("reinstall", **{"name": "old-1", "image": "lab", "confirm": "old-1", **params})
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        self.assertIn(words, str(caught.exception))
        self.assertEqual(self.containers.state("old-1"), "RUNNING")
        self.assertEqual(self.server()["kind"], "lxc")

    def ended(self, operation_id, timeout=90):
        def state():
            try:
                operation = self.daemon.call("operation", id=operation_id)
            except (OSError, e2e.ControlError):
                return None
            return operation if operation["state"] != "running" else None
        return e2e.wait_until(state, timeout, lambda: f"{self.daemon.situation()} {self.daemon.call('operations')}", every=0.2)

    def test_ballooning_off_is_refused_with_the_way_out(self):
        status, _, err = self.daemon.cli("ballooning", "old-1", "off")
        self.assertEqual(status, 1)
        self.assertIn("container", err)
        self.assertIn("einstall", err)

    def test_refused_before_anything_stops(self):
        self.refused("invalid", "confirmed by its name", confirm="old-2")
        self.refused("invalid", "confirmed by its name", confirm="OLD-1")
        self.refused("not-found", "nothing-like-it", image="nothing-like-it")
        self.refused("invalid", "at least", image="large")
        self.refused("conflict", "no-such-file", image="lost")
        self.refused("not-found", "..", image="../lab")
        self.refused("no-room", "missing", memory_bytes=2048 * MIB)

    def test_a_full_disk_is_refused_before_anything_stops(self):
        if self.mount_small() != 0:
            self.skipTest("no small file system can be mounted here")
        try:
            self.refused("conflict", "missing", image="disk")
        finally:
            subprocess.run(["umount", str(self.disks)], check=True)

    def mount_small(self):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(self.disks)], check=False,
                              capture_output=True).returncode

    def test_one_that_does_not_start_is_taken_back(self):
        """QEMU refuses the kernel: everything is as it was, and the container runs."""
        begun = self.daemon.call("reinstall", name="old-1", image="bad", confirm="old-1")
        operation = self.ended(begun["id"])
        self.assertEqual(operation["state"], "failed", operation)
        self.check_taken_back()

    def check_taken_back(self):
        e2e.wait_until(lambda: self.daemon.servers().get("old-1", {}).get("state") == "running", 20,
                       self.daemon.situation)
        self.assertEqual((self.server()["kind"], self.server()["weight"]), ("lxc", 300))
        self.assertEqual(self.containers.state("old-1"), "RUNNING")
        self.assertEqual([name for name in self.lab.domains() if name.startswith("old-1")], [])

    def killed_at(self, wish):
        """Reinstalls with a daemon that dies at @wish; the next one's operation, ended."""
        self.daemon.stop()
        self.daemon.environment = {"LD_PRELOAD": DIE_AT, "DIE_AT": wish}
        self.daemon.start()
        self.daemon.wait(lambda: all(one["connected"] for one in self.daemon.call("status")["backends"]), 15, "libvirt")
        self.daemon.wait(lambda: self.daemon.servers().get("old-1", {}).get("state") == "running", 15, "old-1")
        begun = self.daemon.call("reinstall", name="old-1", image="lab", confirm="old-1")
        self.assertEqual(self.daemon.process.wait(60), -9, f"it did not die: {self.daemon.log_text()[-300:]}")
        self.daemon.environment = {}
        self.daemon.start()
        return self.ended(begun["id"])

    def test_killed_before_the_old_one_is_aside(self):
        """Its daemon dies with the mark made and the config not yet renamed, then after that: both are taken back."""
        for wish in ("before rename config.aside", "after rename config.aside"):
            with self.subTest(wish):
                operation = self.killed_at(wish)
                self.assertEqual(operation["state"], "failed", operation)
                self.assertIn("taken back", operation["text"])
                self.check_taken_back()

    def test_killed_while_it_shuts_down(self):
        """A container that does not hear: the daemon dies in its patience."""
        self.containers.deafen("old-1")
        begun = self.daemon.call("reinstall", name="old-1", image="lab", confirm="old-1")
        e2e.wait_until(lambda: self.daemon.call("operation", id=begun["id"])["step"] == "shutdown", 10, str(begun))
        self.daemon.stop(kill=True)
        self.containers.deafen("old-1", False)
        self.daemon.start()
        self.assertEqual(self.ended(begun["id"])["state"], "failed")
        self.check_taken_back()

    def test_killed_later_it_is_finished(self):
        """From where the old one is aside the next daemon goes on. Each time the server is made a container again."""
        for wish in ("before define old-1", "after define old-1", "before start", "after start"):
            with self.subTest(wish):
                operation = self.killed_at(wish)
                self.assertEqual(operation["state"], "done", operation)
                self.assertIn("the next one finished it", operation["text"])
                server = self.server()
                self.assertEqual((server["kind"], server["weight"]), ("kvm", 300))
                self.make_a_container_again()

    def make_a_container_again(self):
        self.lab.virsh("destroy", "old-1")
        self.lab.virsh("undefine", "old-1")
        self.daemon.wait(lambda: "old-1" not in self.daemon.servers(), 15, "old-1 gone")
        purged = self.ended(self.daemon.call("purge", name="old-1", confirm="old-1")["id"])
        self.assertEqual(purged["state"], "done", purged)
        self.assertFalse(self.containers.folder("old-1").exists())
        self.new_container("old-1")
        self.daemon.call("set", name="old-1", weight=300)

    def check_reinstalled(self):
        e2e.wait_until(lambda: e2e.all_running(self.daemon, ["old-1"]), 40, self.daemon.situation)
        server = self.server()
        self.assertEqual((server["kind"], server["maximum_bytes"], server["weight"]), ("kvm", MEMORY_BYTES, 300))
        self.assertEqual(server["ballooning"]["state"], "on")
        return server

    def give_to(self, account):
        password = self.images.parent / "password"
        password.write_text("correct horse battery\n", encoding="utf-8")
        for words in (("user", "add", account, "--password-file", str(password)), ("own", "old-1", account)):
            status, out, err = self.daemon.cli(*words)
            self.assertEqual((status, err), (0, ""), out)
        self.assertEqual(self.server()["owner"], account)

    def test_reinstalled(self):
        self.give_to("alice")
        status, out, err = self.daemon.cli("reinstall", "old-1", "--image", "lab", "--confirm", "old-1", timeout=90)
        self.assertEqual((status, err), (0, ""), out + err)
        self.assertIn("reinstalled", out)
        server = self.check_reinstalled()
        self.assertEqual(server["owner"], "alice")
        xml = self.lab.virsh("dumpxml", "old-1")
        for needed in ("freePageReporting='on'", "org.aerostat.agent.0", "<stats period="):
            self.assertIn(needed, xml)
        self.assertTrue((self.containers.folder("old-1") / "rootfs" / "bin" / "busybox").exists())

    def test_ballooned(self):
        """It is idle: what it does not use is taken."""
        made = self.daemon.call("reserve", **{"bytes": 1000 * MIB})
        self.addCleanup(self.daemon.call, "release", id=made["id"])
        e2e.wait_until(lambda: self.server()["balloon_bytes"] < MEMORY_BYTES - 20 * MIB, 40, self.daemon.situation)

    def test_not_twice_while_the_old_one_is_kept(self):
        with self.assertRaises(e2e.ControlError) as caught:
            self.daemon.call("reinstall", name="old-1", image="lab", confirm="old-1")
        self.assertEqual(caught.exception.kind, "conflict")
        self.assertIn("purge", str(caught.exception))

    def test_purged(self):
        with self.assertRaises(e2e.ControlError) as caught:
            self.daemon.call("purge", name="old-1", confirm="old-2")
        self.assertEqual(caught.exception.kind, "invalid")
        self.assertTrue(self.containers.folder("old-1").exists())
        status, out, err = self.daemon.cli("purge", "old-1", "--confirm", "old-1", timeout=60)
        self.assertEqual((status, err), (0, ""), out)
        self.assertFalse(self.containers.folder("old-1").exists())
        self.assertEqual(self.server()["state"], "running")
        with self.assertRaises(e2e.ControlError) as caught:
            self.daemon.call("purge", name="old-1", confirm="old-1")
        self.assertEqual(caught.exception.kind, "not-found")

    def test_a_virtual_machine_is_reinstalled_as_well(self):
        """Switched off, since the lab's init does not hear a power button: that would take half a minute."""
        self.assertEqual(self.daemon.cli("stop", "old-1", timeout=60)[0], 0)
        self.lab.virsh("autostart", "old-1")
        self.daemon.stop()
        self.daemon.start()
        self.daemon.wait(lambda: "old-1" in self.daemon.servers(), 15, "old-1")
        status, out, err = self.daemon.cli("reinstall", "old-1", "--image", "lab", "--confirm", "old-1", timeout=90)
        self.assertEqual((status, err), (0, ""), out + err)
        self.assertEqual(self.check_reinstalled()["owner"], "alice")
        self.assertRegex(self.lab.virsh("dominfo", "old-1"), r"Autostart: +enable")
        kept = [name for name in self.lab.domains() if name.startswith("old-1.aside")]
        self.assertEqual(len(kept), 1, self.lab.domains())
        self.assertRegex(self.lab.virsh("dominfo", kept[0]), r"Autostart: +disable")
        self.assertEqual(list(self.daemon.servers()), ["old-1"])
        self.check_counted_when_started(kept[0])
        status, out, err = self.daemon.cli("purge", "old-1", "--confirm", "old-1", timeout=60)
        self.assertEqual((status, err), (0, ""), out)
        self.assertEqual(list(self.lab.domains()), ["old-1"])

    def check_counted_when_started(self, kept):
        """Somebody starts what was set aside: it holds memory, so it is in the account as long as it runs."""
        self.lab.virsh("start", kept)
        self.daemon.wait(lambda: (self.daemon.servers().get(kept, {}).get("committed_bytes") or 0) >= MEMORY_BYTES // 2,
                         15, kept)
        status, _, err = self.daemon.cli("purge", "old-1", "--confirm", "old-1", timeout=60)
        self.assertEqual(status, 1)
        self.assertIn("running", err)
        self.lab.virsh("destroy", kept)
        self.daemon.wait(lambda: kept not in self.daemon.servers(), 15, kept)

    def test_with_a_disk_of_its_own(self):
        """Made from a qcow2 template: the same content in a file of its own, which the new machine has."""
        self.assertEqual(self.daemon.cli("stop", "old-1", timeout=60)[0], 0)
        status, out, err = self.daemon.cli("reinstall", "old-1", "--image", "qcow2", "--confirm", "old-1", timeout=90)
        self.assertEqual((status, err), (0, ""), out + err)
        self.check_reinstalled()
        made = list(self.disks.iterdir())
        self.assertEqual([path.suffix for path in made], [".qcow2"], made)
        xml = self.lab.virsh("dumpxml", "old-1")
        self.assertIn(str(made[0]), xml)
        self.assertRegex(xml, r"<driver [^>]*type='qcow2'")
        template = self.images / "template.qcow2"
        self.assertNotEqual(made[0].stat().st_ino, template.stat().st_ino)
        self.assertEqual(made[0].read_bytes(), template.read_bytes())
        # QEMU itself says what it has opened.
        answer = json.loads(self.lab.virsh("qemu-monitor-command", "old-1", '{"execute":"query-block"}'))
        images = [one["inserted"]["image"] for one in answer["return"] if "inserted" in one]
        self.assertEqual([(one["format"], one["virtual-size"]) for one in images], [("qcow2", DISK_BYTES)])
        self.assertNotIn("backing-filename", images[0])


if __name__ == "__main__":
    sys.exit(e2e.main())
