"""A small host with a dashboard: two virtual machines, an LXC server where there can be one, three people. For tests and pictures."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from aerodaemon import Daemon
from aerolab import Lab, LabUnavailable
from aeroweb import Web, add_account, give
from labhost import Closing
from lablxc import Containers

MIB = 1 << 20
KVM_BYTES = 512 * MIB
LXC_BYTES = 256 * MIB
# A little less than all could hold together, so that some of it is lent; a container has its part of it.
POOL_MIB = 1450
IMAGE_TITLE = "A small Linux"
IMAGE = """\
[image]
title = {title}
minimum = 128MiB
kernel = {image}/vmlinuz
initramfs = {image}/initramfs.gz
command-line = console=ttyS0 quiet psi=1 mitigations=off panic=1
"""


class DashboardHost(Closing):
    """alice owns web-1 and old-1 (the container), bob shop-1, and carol is the operator."""

    def __init__(self):
        self._exits = contextlib.ExitStack()
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def close(self):
        self._exits.close()

    def _build(self):
        self.containers, self.no_container = self._container()
        self.lab = self._exits.enter_context(Lab())
        images = tempfile.mkdtemp(prefix="aeroimg-")
        self._exits.callback(shutil.rmtree, images, True)
        Path(images, "small.conf").write_text(IMAGE.format(title=IMAGE_TITLE, image=self.lab.image), encoding="utf-8")
        self.guests = {name: self.lab.start_guest(name, KVM_BYTES, stats_period=1, script="anon:60M")
                       for name in ("web-1", "shop-1")}
        lxc = f"[lxc]\npath={self.containers.path}\n" if self.containers else ""
        self.daemon = self._exits.enter_context(Daemon(self.lab.uri, self._pool(), minimum="128M", extra=f"{lxc}[images]\npath={images}"))
        for guest in self.guests.values():
            guest.wait_ready()
        names = [*self.guests, *(["old-1"] if self.containers else [])]
        self.daemon.wait(lambda: self._all_running(names), 60, "all servers known")
        self.passwords = {"alice": add_account(self.daemon, "alice", "owner"), "bob": add_account(self.daemon, "bob", "owner"),
                          "carol": add_account(self.daemon, "carol", "operator")}
        for name, owner in (("web-1", "alice"), ("shop-1", "bob"), ("old-1", "alice")):
            if name in names:
                give(self.daemon, name, owner)
        self.web = self._exits.enter_context(Web(self.daemon))

    def _pool(self):
        return f"{POOL_MIB - (0 if self.containers else LXC_BYTES // MIB)}M"

    def _container(self):
        try:
            containers = self._exits.enter_context(Containers())
        except LabUnavailable as error:
            return None, str(error)
        containers.create("old-1", LXC_BYTES)
        containers.start("old-1")
        return containers, None

    def _all_running(self, names):
        servers = self.daemon.servers()
        return all(name in servers and servers[name]["state"] == "running" and servers[name]["used_bytes"] for name in names)

    def account(self, name):
        return {"name": name, "password": self.passwords[name]}

    def for_browser(self, **more):
        """What dashboard/tests/*.mjs are told of this host."""
        return {"url": self.web.url, "owner": self.account("alice"), "operator": self.account("carol"), "kvm": "web-1",
                "foreign": "shop-1", "lxc": "old-1" if self.containers else None, "image_title": IMAGE_TITLE, **more}
