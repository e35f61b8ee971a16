"""Single questions that need a setting of their own: how soon, at what cost for donors, at what cost when idle."""

import os
import signal
import statistics
import threading
import time

import host
from configs import Aerostat
from scenarios import ANSWER_US
from stage import IDLE_MIB, IDLE_TOUCHES, MIB, Burst, now_us
from stats import lost_share, summary


class Tight(Aerostat):
    """A pool in which every guest sits at its demand, and a large slack: a burst must be granted, and can be."""

    POOL_BYTES, SLACK_BYTES = 2400 * MIB, 1400 * MIB

    def __init__(self, uses_agent=False):
        super().__init__(uses_agent)
        self.slack = f"{self.SLACK_BYTES // MIB}M"

    def start(self):
        super().start()
        # The slack comes from what was handed out in equal shares.
        self.wait_slack(20)

    def wait_slack(self, seconds):
        end = time.monotonic() + seconds
        while self.daemon.call("status")["slack_bytes"] < SLACK_READY_BYTES and time.monotonic() < end:
            time.sleep(0.1)

    def spare(self):
        """{name: bytes above its use}"""
        servers = self.daemon.servers()
        return {name: servers[name]["balloon_bytes"] - servers[name]["used_bytes"] for name in self.stage.names}


# How often the guests are watched with and without being asked.
TURNS = 4
BURST_MIB = 256
# A guest that idles stands still after 5 s, for the daemon, and is asked less often once nothing moves.
STILL_S = 9.0
# A guest is ready for the next burst when it has no more than this above its use, and the pool has that much to give.
SPARE_MAX_BYTES, SLACK_READY_BYTES = 150 * MIB, 320 * MIB


def latency(stage, rng, bursts, uses_agent, progress):
    """Bursts larger than the headroom while there is slack: from the first page to the first grant sent."""
    records = []
    order = list(stage.names)
    with Tight(uses_agent).run(stage, Tight.POOL_BYTES) as config:
        for number in range(bursts):
            records.append(one_latency(stage, config, rng, order, number))
            if number % 10 == 9:
                progress(f"{number + 1} of {bursts} bursts")
    return records


def one_latency(stage, config, rng, order, number):
    """One burst, by the first in @order that is ready; it goes to the end, for its pages to be taken back meanwhile."""
    config.wait_slack(8)
    end = time.monotonic() + 8
    while True:
        spare = config.spare()
        name = next((one for one in order if spare[one] <= SPARE_MAX_BYTES), min(spare, key=spare.get))
        if spare[name] <= SPARE_MAX_BYTES or time.monotonic() > end:
            break
        time.sleep(0.2)
    order.append(order.pop(order.index(name)))
    # Long enough for free page reporting since the guest's last turn, and then anywhere in a beat; every third time for all
    # guests to stand still, when looks come less often.
    out_of_stillness = number % 3 == 2
    if out_of_stillness:
        stage.all(lambda guest: guest.send("touch 0"))
    time.sleep((STILL_S if out_of_stillness else 1.5) + rng.random() * 0.3)
    status = config.daemon.call("status")
    before = stage.counters([name])
    burst = stage.burst(name, IDLE_MIB + BURST_MIB)
    record = {**burst.record(), "spare_bytes": spare[name], "slack_bytes": status["slack_bytes"],
              **config.first_grant(burst, ANSWER_US), **stage.since(before, [name])}
    record["larger_than_spare"] = spare[name] < BURST_MIB * MIB
    record["out_of_stillness"] = out_of_stillness
    stage.guests[name].send(f"anon {IDLE_MIB}M", timeout=60)
    if out_of_stillness:
        stage.all(lambda guest: guest.send(f"touch {IDLE_TOUCHES}"))
    return record


class Generous(Aerostat):
    """One guest holds much that it does not use, the others hold what they need, and the daemon wants a slack."""

    def __init__(self, donor, slack_bytes):
        super().__init__()
        self.donor, self.slack = donor, f"{slack_bytes // MIB}M"

    def start(self):
        sizes = {name: 330 * MIB for name in self.stage.names}
        sizes[self.donor] = 640 * MIB
        self.pool_bytes = sum(sizes.values())
        self.stage.set_balloons(sizes)


class Diary:
    """All reports of one guest while it is open."""

    def __init__(self, guest):
        self.guest, self.reports = guest, [guest.report]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.03):
            report = self.guest.report
            if report["time_us"] > self.reports[-1]["time_us"]:
                self.reports.append(report)

    def close(self):
        self._stop.set()
        self._thread.join(5)

    def intervals(self):
        """[(seconds, pages written, bytes that went into the balloon)] from report to report, by the guest's own clock."""
        return [((last["time_us"] - first["time_us"]) / 1e6, last["anon_ops"] - first["anon_ops"],
                 (last["balloon_inflate"] - first["balloon_inflate"]) * host.PAGE_BYTES)
                for first, last in zip(self.reports, self.reports[1:])]


def donor(stage, name):
    """What a guest that works without a pause loses while it gives half of its idle memory and nobody waits."""
    config, guest = Generous(name, 260 * MIB), stage.guests[name]
    with config.run(stage, 0):
        guest.send("touch max")
        burst = stage.burst(name, 150)
        time.sleep(1.0)
        idle_bytes = guest.report["mem_available_bytes"]
        diary = Diary(guest)
        try:
            time.sleep(2.5)
            config.start_daemon()
            start_bytes = config.daemon.servers().get(name, {}).get("balloon_bytes") or 640 * MIB
            given = give(config, name, start_bytes, idle_bytes // 2)
            given["moves"] = config.moves(0, name)
            time.sleep(2.5)
        finally:
            diary.close()
        guest.send("touch 2000")
    intervals = diary.intervals()
    rates = [work / seconds for seconds, work, _ in intervals]
    return {"guest": name, "outcome": burst.outcome, "idle_bytes": idle_bytes, "lost_share": lost_share(intervals),
            "rates": summary(rates), "intervals": intervals, **given}


def give(config, name, start_bytes, wanted_bytes, limit_s=30.0):
    """Waits until @wanted_bytes are given, or no more come: how many were, and in what time."""
    end, begin, last = time.monotonic() + limit_s, None, None
    given = 0
    while time.monotonic() < end and given < wanted_bytes:
        time.sleep(0.05)
        size = config.daemon.servers().get(name, {}).get("balloon_bytes") or start_bytes
        given = start_bytes - size
        if given > 0:
            last = time.monotonic()
            begin = begin or last
    return {"given_bytes": given, "seconds": last - begin if begin else 0.0}


def stopped_donor(stage, config, rng, base_seconds, rested_s):
    """A donor's QEMU is stopped in the middle of a burst, and stays so while another guest bursts, too."""
    first, second, victim = rng.sample(stage.names, 3)
    stage.quiet(rested_s)
    held_bytes = config.daemon.servers()[victim]["balloon_bytes"]
    before = stage.counters([first, second])
    grown = Burst(stage.guests[first], 560)
    time.sleep(0.4)
    stopped_us = now_us()
    stage.guests[victim].stop_process()
    try:
        grown.wait(15)
        grant_us = config.first_grant_us(grown, ANSWER_US)
        stage.guests[first].send(f"anon {IDLE_MIB}M", timeout=30)
        time.sleep(1.0)
        other = stage.burst(second, 480, limit_s=15)
        second_grant_us = config.first_grant_us(other, ANSWER_US)
    finally:
        stage.guests[victim].cont_process()
    counted = stage.since(before, [first, second])
    stage.fresh_report(stage.guests[victim], 20)
    return {"victim": victim, "rested_s": rested_s, "held_bytes": held_bytes, "bursts": [grown.record(), other.record()],
            "base_seconds": base_seconds, "first_grants_us": [grant_us, second_grant_us],
            "stopped_after_us": [max(0, stopped_us - one.start_us) for one in (grown, other)], **counted}


def qemu_cpu(stage, seconds):
    """Shares of a core that each QEMU used in the next @seconds."""
    pids = {name: guest.pid for name, guest in stage.lab.guests.items()}
    before, start = {name: host.cpu_seconds(pid) for name, pid in pids.items()}, time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    return {name: (host.cpu_seconds(pid) - before[name]) / took for name, pid in pids.items()}


# At rest nothing has moved for so long; comfort of what was used before fades for a minute and more.
REST_S, REST_CALM_S = 90.0, 12.0
# Who stalled while eight gave at once is watched more closely for a minute: that is no steady state.
HELD_S = 90.0


def wait_unheld(config):
    """Until no server rests, or is held for another reason."""
    end = time.monotonic() + HELD_S
    while any(server["hold"] for server in config.daemon.servers().values()) and time.monotonic() < end:
        time.sleep(1.0)
    time.sleep(2.0)


def steady(stage, seconds, progress):
    """Eight idle guests: what the daemon uses while nothing happens, and each QEMU with and without being asked."""
    config = Aerostat()
    with config.run(stage, 8 * 460 * MIB):
        stage.all(lambda guest: guest.send("touch 0"))
        stage.all(lambda guest: guest.send("report 5000"))
        config.settle(REST_S, REST_CALM_S)
        wait_unheld(config)
        pid = config.daemon.process.pid
        progress(f"watching the daemon for {seconds} s")
        before, start = host.cpu_seconds(pid), time.monotonic()
        beats, began_us = config.daemon.call("status")["beats"], now_us()
        time.sleep(seconds)
        took = time.monotonic() - start
        used = host.cpu_seconds(pid) - before
        beats = config.daemon.call("status")["beats"] - beats
        resident = host.resident_bytes(pid)
        moves = config.moves(began_us)
        turns = [asking_turn(stage, pid, seconds / 6, progress, number) for number in range(TURNS)]
    return {"guests": len(stage.names), "seconds": took, "daemon_core_share": used / took, "daemon_resident_bytes": resident,
            "beats": beats, "moves": moves, "turns": turns,
            "asking_core_share": statistics.mean(turn["asked"] - turn["unasked"] for turn in turns)}


def periods_text(periods):
    return " or ".join(str(seconds) for seconds in sorted(set(periods.values())))


def asking_turn(stage, daemon_pid, seconds, progress, number):
    """What a QEMU uses, the mean of all, while the daemon asks and, close by, while it is held still and nothing asks."""
    periods = {guest.name: guest.stats_period() or 1 for guest in stage.guests.values()}

    def watch(asking):
        stage.all(lambda guest: guest.set_stats_period(periods[guest.name] if asking else 0))
        os.kill(daemon_pid, signal.SIGCONT if asking else signal.SIGSTOP)
        time.sleep(3.0)
        return statistics.mean(qemu_cpu(stage, seconds).values())
    # First one, then the other, so that what drifts does not tell.
    order = (False, True) if number % 2 == 0 else (True, False)
    try:
        found = {asking: watch(asking) for asking in order}
    finally:
        os.kill(daemon_pid, signal.SIGCONT)
        stage.all(lambda guest: guest.set_stats_period(periods[guest.name]))
    progress(f"QEMU uses {found[True]:.2%} of a core asked every {periods_text(periods)} s, {found[False]:.2%} unasked")
    return {"asked": found[True], "unasked": found[False]}
