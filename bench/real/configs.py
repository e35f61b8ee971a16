"""Who manages the guests' memory while a scenario runs: nobody, fixed shares, Aerostat, or another manager."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter

from stage import MAXIMUM_BYTES, MIB, LabError
from aerodaemon import Daemon

# The figure that Aerostat is told to count for each QEMU; its pool is larger by as much, so that guests share the
# same bytes under every manager.
OVERHEAD_BYTES = 216 * MIB
MINIMUM = "128M"
# A balloon that is off by little is moved after 10 s: who has stood for longer is at rest. An external manager is only started.
CALM_S, SETTLE_S, STARTS_S = 12.0, 25.0, 1.5


class Config:
    """One way to manage memory; used by `with config.run(stage, pool_bytes):`."""

    name, title = "", ""
    uses_agent = False
    scenarios = None  # names of those it is measured in; None: all
    rested = None  # whether it came to rest before the first of them; None: nobody looked

    def __init__(self):
        self.stage = self.pool_bytes = None

    def run(self, stage, pool_bytes):
        self.stage, self.pool_bytes = stage, pool_bytes
        return self

    def __enter__(self):
        self.stage.set_agents(self.uses_agent)
        self.stage.empty_swap()
        self.stage.squeeze()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def equal_shares(self):
        share = self.pool_bytes // len(self.stage.names) // MIB * MIB
        self.stage.set_balloons({name: share for name in self.stage.names})

    def start(self):
        raise NotImplementedError

    def stop(self):
        pass

    def first_grant_us(self, burst, within_us):
        """From the first page of a burst to the first grant sent to it; None: none sent, or not known."""
        return None

    def over_seconds(self):
        """How long more was committed than the pool has, by the manager's own account; None: it keeps none."""
        return None


class Unlimited(Config):
    """The oracle: every guest has all that it was sold, so the pool is the sum of the maxima."""

    name, title = "unlimited", "unlimited"

    def start(self):
        self.stage.set_balloons({name: MAXIMUM_BYTES for name in self.stage.names})


class Static(Config):
    """The pool in equal parts, for ever."""

    name, title = "static", "static shares"

    def start(self):
        self.equal_shares()


class Prompt(Config):
    """
    As if memory lay free: equal shares at first, but whoever begins to burst is given all it was sold, by one `virsh setmem`,
    and nobody has to give it. What this is slower than the oracle is the price of a balloon that deflates.
    """

    name, title = "prompt", "given at once, by nobody"
    scenarios = ("step-idle",)

    def start(self):
        self.equal_shares()
        self.seen = {name: len(guest.events) for name, guest in self.stage.guests.items()}
        self.ended, self.failed = threading.Event(), None
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def watch(self):
        while not self.ended.wait(0.002):
            for name, guest in self.stage.guests.items():
                new = list(guest.events[self.seen[name]:])
                self.seen[name] += len(new)
                if any(event.get("event") == "burst" for event in new):
                    self.give(guest)

    def give(self, guest):
        try:
            guest.set_memory(MAXIMUM_BYTES)
        except (LabError, OSError) as error:
            self.failed = error

    def stop(self):
        self.ended.set()
        self.watcher.join()
        if self.failed:
            raise self.failed


class Aerostat(Config):
    """This project's daemon with its defaults."""

    def __init__(self, uses_agent=False):
        super().__init__()
        self.uses_agent = uses_agent
        self.name = "aerostat-agent" if uses_agent else "aerostat"
        self.title = "Aerostat, agent" if uses_agent else "Aerostat"
        self.daemon, self.slack = None, None

    def pool(self):
        return self.pool_bytes + OVERHEAD_BYTES * len(self.stage.lab.guests)

    def start(self):
        self.equal_shares()
        self.start_daemon()
        self.rested = self.settle()

    def start_daemon(self):
        self.daemon = Daemon(self.stage.lab.uri, f"{self.pool() // MIB}M", slack=self.slack, minimum=MINIMUM,
                             overhead=f"{OVERHEAD_BYTES // MIB}M")

    def settle(self, seconds=SETTLE_S, calm_s=CALM_S):
        """Waits until every guest is known and no balloon has moved for @calm_s; False: not within @seconds."""
        end, calm_since, last = time.monotonic() + seconds, None, None
        while time.monotonic() < end:
            servers = self.daemon.servers()
            known = len(servers) >= len(self.stage.names) and all(
                server["state"] == "running" and server["used_bytes"] is not None for server in servers.values())
            sizes = {name: server["balloon_bytes"] for name, server in servers.items()}
            if not known or sizes != last:
                calm_since = time.monotonic()
            elif time.monotonic() - calm_since >= calm_s:
                return True
            last = sizes
            time.sleep(0.2)
        return False

    def stop(self):
        if self.daemon is not None:
            self.daemon.close()
            self.daemon = None

    def grants(self, name, since_us):
        """The decisions that gave @name more and were sent, from @since_us on, the first first."""
        decisions = self.daemon.call("journal", name=name, limit=1000)["decisions"]
        given = [one for one in decisions if one["performed"] and one["server"] == name and one["sent_unix_us"]
                 and (one["to_bytes"] or 0) > (one["from_bytes"] or 0) and one["sent_unix_us"] >= since_us]
        return sorted(given, key=lambda one: one["sent_unix_us"])

    def first_grant(self, burst, within_us):
        """From the burst's first page until its first grant was decided, sent and taken by the hypervisor."""
        # Clocks of guest and host agree to about a millisecond; an answer from before the question is none.
        given = self.grants(burst.guest.name, burst.start_us - 1000)
        if not given or given[0]["sent_unix_us"] - burst.start_us > within_us:
            return {"decided_us": None, "first_grant_us": None, "answered_us": None}
        after = {"decided_us": "time_us", "first_grant_us": "sent_unix_us", "answered_us": "answered_unix_us"}
        return {key: given[0][field] and max(given[0][field] - burst.start_us, 0) for key, field in after.items()}

    def first_grant_us(self, burst, within_us):
        return self.first_grant(burst, within_us)["first_grant_us"]

    def moves(self, since_us, name=None):
        """{move: how many} of what was decided since, for one server or all."""
        only = {"name": name} if name else {}
        decisions = self.daemon.call("journal", limit=1000, **only)["decisions"]
        return dict(Counter(one["move"] for one in decisions if one["time_us"] >= since_us))

    def over_seconds(self):
        return self.daemon.call("status")["over_seconds"]


class External(Config):
    """Any other manager: a command that is given libvirt's URI and the pool and runs until it gets SIGTERM."""

    def __init__(self, name, command):
        super().__init__()
        self.name = self.title = name
        self.command, self.process, self.log = command, None, None

    def start(self):
        self.equal_shares()
        # As Aerostat's: what the QEMU processes may hold together.
        uri, pool = self.stage.lab.uri, str(self.pool_bytes + OVERHEAD_BYTES * len(self.stage.lab.guests))
        environment = {**os.environ, "BENCH_URI": uri, "BENCH_POOL_BYTES": pool, "LIBVIRT_DEFAULT_URI": uri,
                       "BENCH_MINIMUM_BYTES": str(128 * MIB)}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(["sh", "-c", f'{self.command} "$@"', self.name, uri, pool], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        time.sleep(STARTS_S)
        self.check()

    def check(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            text = self.log.read().decode(errors="replace").strip()[-300:]
            raise LabError(f"manager {self.name} ended with status {self.process.returncode}: {text or 'no output'}")

    def stop(self):
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(5)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.log.close()
        self.process = None

