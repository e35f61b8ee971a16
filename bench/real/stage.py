"""The guests of a bench: a quiet common state before each measurement, bursts, and what the guests counted."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
from labguest import now_us  # noqa: E402
from labhost import LabError  # noqa: E402, F401

MIB = 1 << 20
PAGE_BYTES = 4096
MAXIMUM_BYTES = 768 * MIB
# What every guest works on when it needs nothing else, and how often it writes to it.
IDLE_MIB = 64
IDLE_TOUCHES = 2000
# Before each session every balloon goes down to this, so that all free pages have lost their host memory alike.
SQUEEZED_BYTES = 224 * MIB
# A burst that is not done after this is given up: it has lasted several times as long as with memory at hand.
LIMIT_S = 12.0
COUNTERS = ("oom_kill", "pswpout", "pswpin", "psi_some_us", "pgmajfault", "workingset_refault_file", "anon_ops",
            "cache_ops")


class Stage:
    """Guests of equal maximum on one lab."""

    def __init__(self, lab, names, *, free_page_reporting=True, agent=None, swap_bytes=1 << 30):
        self.lab, self.names, self.guests = lab, [], {}
        self.free_page_reporting, self.agent, self.swap_bytes = free_page_reporting, agent, swap_bytes
        self.swap = False
        self.extend(names)

    def extend(self, names):
        """Starts more guests like those that are there."""
        # Balloons that do not deflate by themselves: who runs short shows it, and cannot help himself past his share.
        self.guests.update(self.lab.start_guests(
            {name: {"memory_bytes": MAXIMUM_BYTES} for name in names}, script=f"anon:{IDLE_MIB}M",
            swap_bytes=self.swap_bytes, deflate_on_oom=False, free_page_reporting=self.free_page_reporting,
            agent=self.agent))
        self.names += names
        for name in names:
            self.guests[name].wait_ready(120)
        self.all(lambda guest: guest.send("report 200"))
        if self.swap:
            self.all(lambda guest: guest.send("swap on", timeout=60), names)

    def all(self, action, names=None):
        """action(guest) for all, at the same time."""
        guests = [self.guests[name] for name in names or self.names]
        with ThreadPoolExecutor(max_workers=8) as pool:
            return list(pool.map(action, guests))

    def empty_swap(self):
        """Takes back what an earlier turn has left in swap: whoever swaps in counts as faulting, and gives nothing."""
        if self.swap:
            self.set_swap(False)
            self.set_swap(True)

    def set_swap(self, on):
        if on != self.swap:
            # With all of its memory a guest can take back at once what it has swapped out.
            self.quiet()
            self.set_balloons({name: MAXIMUM_BYTES for name in self.names})
            self.all(lambda guest: guest.send("swap on" if on else "swap off", timeout=60))
            self.swap = on

    def set_agents(self, on):
        """Runs the agents of the guests, or ends them."""
        if self.agent:
            self.all(lambda guest: guest.send("agent on" if on else "agent off"))

    def set_balloons(self, sizes):
        """{name: bytes}; returns when every balloon is there."""
        def one(guest):
            guest.set_memory(sizes[guest.name])
            guest.wait_balloon(lambda actual: actual == sizes[guest.name], 180, every=0.5)
        self.all(one, list(sizes))

    def squeeze(self):
        """The same state before every session: nothing but the small working set is resident."""
        self.quiet()
        self.set_balloons({name: SQUEEZED_BYTES for name in self.names})

    def quiet(self, pause_s=0.0):
        """Every guest back to its small working set and no caches, then @pause_s for whoever manages memory."""
        def one(guest):
            guest.send("cache 0", timeout=60)
            guest.send(f"touch {IDLE_TOUCHES}", timeout=60)
            guest.send(f"anon {IDLE_MIB}M", timeout=60)
            guest.wait_for(lambda report: report["anon_bytes"] == IDLE_MIB * MIB, 90)
            guest.send("drop", timeout=60)
        self.all(one)
        time.sleep(pause_s)

    def fresh_report(self, guest, timeout=10.0):
        """A report from after this call."""
        asked_us = now_us()
        return guest.wait_for(lambda report: report["received_us"] > asked_us + 1000, timeout)

    def counters(self, names=None):
        """The sum over the guests of what each has counted since its boot, and the events of killed workers so far."""
        reports = self.all(self.fresh_report, names)
        return {key: sum(report[key] for report in reports) for key in COUNTERS}

    def since(self, before, names=None):
        """What was counted since @before, in the units in which it is shown."""
        now = self.counters(names)
        delta = {key: now[key] - before[key] for key in COUNTERS}
        return {"oom_kills": delta["oom_kill"], "swap_out_bytes": delta["pswpout"] * PAGE_BYTES,
                "swap_in_bytes": delta["pswpin"] * PAGE_BYTES, "stalled_s": delta["psi_some_us"] / 1e6,
                "file_refaults": delta["workingset_refault_file"], "anon_ops": delta["anon_ops"],
                "cache_ops": delta["cache_ops"]}

    def burst(self, name, goal_mib, *, rate_mib=None, limit_s=LIMIT_S):
        """Lets one guest grow; returns its Burst at the end of it or of @limit_s."""
        burst = Burst(self.guests[name], goal_mib, rate_mib)
        return burst.wait(limit_s)

    def bursts(self, names, goal_mib, limit_s=LIMIT_S):
        """Several at the same moment."""
        started = self.all(lambda guest: Burst(guest, goal_mib), names)
        end = time.monotonic() + limit_s
        return [one.wait(max(0.1, end - time.monotonic())) for one in started]


class Burst:
    """A growth of one guest's working set, from the moment before its first page."""

    def __init__(self, guest, goal_mib, rate_mib=None):
        self.guest, self.goal_bytes = guest, goal_mib * MIB
        self._since = len(guest.events)
        self.seconds, self.outcome = None, "late"
        guest.send(f"anon {goal_mib}M" + (f" at {rate_mib}M" if rate_mib else ""))
        self.start_us = guest.wait_event("burst", 10, self._since)["host_time_us"]

    def _ended(self):
        for event in list(self.guest.events[self._since:]):
            if event.get("event") == "oom":
                return "killed", None
            if event.get("event") == "reached" and event["goal_bytes"] == self.goal_bytes:
                return "done", (event["host_time_us"] - self.start_us) / 1e6
        return None

    def wait(self, limit_s):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            ended = self._ended()
            if ended:
                self.outcome, self.seconds = ended
                break
            time.sleep(0.01)
        return self

    def record(self):
        return {"guest": self.guest.name, "goal_bytes": self.goal_bytes, "start_us": self.start_us,
                "outcome": self.outcome, "seconds": self.seconds}

