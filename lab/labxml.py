"""A guest's libvirt XML, its extra files for the initramfs, and its disks."""

import os
import tempfile
from xml.sax.saxutils import escape, quoteattr

LAB_PORT = "org.aerostat.lab.0"
AGENT_PORT = "org.aerostat.agent.0"
EMULATOR = "/usr/bin/qemu-system-x86_64"
# QEMU's cache of translated code; its default is part of the resident size and is over 100 MB.
TCG_CACHE_MIB = 32


def channel(path, name):
    return f"""
    <channel type='unix'>
      <source mode='bind' path={quoteattr(path)}/>
      <target type='virtio' name={quoteattr(name)}/>
    </channel>"""


def disk(path, target, serial, cache):
    return f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='{cache}' discard='unmap'/>
      <source file={quoteattr(path)}/>
      <target dev='{target}' bus='virtio'/>
      <serial>{serial}</serial>
    </disk>"""


def balloon(enabled, deflate_on_oom, free_page_reporting, stats_period):
    if not enabled:
        return "<memballoon model='none'/>"
    period = "" if stats_period is None else f"<stats period='{int(stats_period)}'/>"
    on = {True: "on", False: "off"}
    return (f"<memballoon model='virtio' autodeflate='{on[bool(deflate_on_oom)]}' "
            f"freePageReporting='{on[bool(free_page_reporting)]}'>{period}</memballoon>")


def domain(*, name, uuid, memory_bytes, kvm, image, initrd, append, balloon_xml, devices, locked, preallocated, extra):
    """The whole document; memory_bytes is a multiple of 1 KiB."""
    backing = "<nosharepages/>" + ("<locked/>" if locked else "")
    backing += "<allocation mode='immediate'/>" if preallocated else ""
    features = "" if kvm else f"<tcg><tb-cache unit='MiB'>{TCG_CACHE_MIB}</tb-cache></tcg>"
    # libvirt wants a limit beside <locked/>; QEMU needs a good deal besides the guest's memory.
    tune = f"<memtune><hard_limit unit='KiB'>{memory_bytes // 1024 + 1048576}</hard_limit></memtune>" if locked else ""
    return f"""<domain type='{"kvm" if kvm else "qemu"}'>
  <name>{escape(name)}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>{memory_bytes // 1024}</memory>
  <currentMemory unit='KiB'>{memory_bytes // 1024}</currentMemory>
  {tune}
  <memoryBacking>{backing}</memoryBacking>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{escape(image)}/vmlinuz</kernel>
    <initrd>{escape(initrd)}</initrd>
    <cmdline>{escape(append)}</cmdline>
  </os>
  <features><acpi/>{features}</features>
  {"<cpu mode='host-passthrough' migratable='off'/>" if kvm else ""}
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>{EMULATOR}</emulator>
    <controller type='usb' model='none'/>
    {devices}
    {balloon_xml}
    {extra}
  </devices>
</domain>
"""


def cpio_entry(path, mode, data):
    """One file of a `newc` archive: a header of 13 hexadecimal numbers, the name and the data, each padded to 4."""
    name = path.lstrip("/").encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initramfs_with(base, files, directory):
    """The image's initramfs with @files (guest path: host path) added; @base itself when there are none."""
    if not files:
        return base
    with tempfile.NamedTemporaryFile(dir=directory, suffix=".gz", delete=False) as out:
        with open(base, "rb") as image:
            data = image.read()
        # The kernel takes several archives one after the other, compressed or not, at multiples of 4 bytes.
        out.write(data + b"\0" * (-len(data) % 4))
        for inside, outside in files.items():
            with open(outside, "rb") as file:
                out.write(cpio_entry(inside, 0o100755, file.read()))
        out.write(cpio_entry("TRAILER!!!", 0, b""))
    return out.name


def make_disk(path, size_bytes):
    """A sparse file; returns the cache mode: without the host's page cache where the file system can do that."""
    with open(path, "wb") as file:
        file.truncate(size_bytes)
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        return "none"
    except OSError:
        return "writeback"
