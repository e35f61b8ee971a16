"""The scenarios: what the guests do, the same under every manager, and what is measured of it."""

import time

from stage import IDLE_MIB, LIMIT_S, MIB, LabError

# Between two scenarios; long enough for a manager to take back what the last one needed.
PAUSE_S = 3.0
# No grant later than this after a burst's first page is an answer to it.
ANSWER_US = 2_000_000


class Scenario:
    """name: in files; title: for people; run(): one or more records {"values": …, …}."""

    def __init__(self, name, title, run, measure="completion"):
        self.name, self.title, self.run, self.measure = name, title, run, measure


def record_of(stage, config, before, bursts, **more):
    """One measurement: how the bursts ended, what the guests counted, when the first grant was sent to each."""
    done = all(one.outcome == "done" for one in bursts)
    return {"bursts": [one.record() for one in bursts],
            "seconds": max(one.seconds for one in bursts) if done and bursts else None,
            "outcome": "done" if done else next(one.outcome for one in bursts if one.outcome != "done"),
            "first_grants_us": [config.first_grant_us(one, ANSWER_US) for one in bursts],
            **stage.since(before), **more}


def step_idle(stage, config, rng):
    """One guest needs much more at once; the others do next to nothing."""
    name = rng.choice(stage.names)
    stage.quiet(PAUSE_S + rng.random())
    before = stage.counters()
    return [record_of(stage, config, before, [stage.burst(name, 560)])]


def step_busy(stage, config, rng):
    """The same while the others work hard on 120 MiB each."""
    name = rng.choice(stage.names)
    others = [one for one in stage.names if one != name]
    stage.quiet()
    stage.all(lambda guest: guest.send("touch 20000"), others)
    stage.bursts(others, 120)
    time.sleep(PAUSE_S + rng.random())
    before = stage.counters()
    return [record_of(stage, config, before, [stage.burst(name, 460)])]


def leak(stage, config, rng):
    """One guest grows slowly and steadily."""
    name = rng.choice(stage.names)
    stage.quiet(PAUSE_S)
    before = stage.counters()
    return [record_of(stage, config, before, [stage.burst(name, 480, rate_mib=32, limit_s=13 + LIMIT_S)])]


def everyone(stage, config, rng):
    """All grow at the same moment; the pool holds what they need, with headroom."""
    stage.quiet(PAUSE_S + rng.random())
    before = stage.counters()
    return [record_of(stage, config, before, stage.bursts(stage.names, 230, 2 * LIMIT_S))]


def mixed(stage, config, rng):
    """Two guests live on a page cache; a third needs anonymous memory."""
    name = rng.choice(stage.names)
    readers = [one for one in stage.names if one != name][:2]
    stage.quiet()
    stage.all(lambda guest: guest.send("cache 120M at 64M"), readers)
    stage.all(lambda guest: guest.wait_for(lambda report: report["cache_bytes"] >= 120 * MIB - 65536, 20), readers)
    time.sleep(PAUSE_S)
    before = stage.counters()
    # The readers are watched a little longer than the burst lasts: what was taken from them shows afterwards.
    burst, began = stage.burst(name, 464), time.monotonic()
    time.sleep(2.0)
    record = record_of(stage, config, before, [burst])
    window_s = (burst.seconds or LIMIT_S) + time.monotonic() - began
    return [{**record, "cache_ops_per_s": record["cache_ops"] / window_s}]


def rotate(stage, config, rng, period_s, turns):
    """The need moves from guest to guest; the work of all of them is counted, turn by turn."""
    order = rng.sample(stage.names, len(stage.names))
    stage.quiet(PAUSE_S)
    records, holder = [], None
    next_s = time.monotonic()
    for turn in range(turns):
        name = order[turn % len(order)]
        before, kills = stage.counters(), len(kills_of(stage))
        if holder:
            stage.guests[holder].send(f"anon {IDLE_MIB}M", timeout=30)
            stage.guests[holder].send("touch 2000", timeout=30)
        holder = name
        stage.guests[name].send("touch 20000")
        stage.guests[name].send("anon 460M")
        next_s += period_s
        time.sleep(max(0.0, next_s - time.monotonic()))
        counted = stage.since(before)
        killed = len(kills_of(stage)) > kills
        records.append({"bursts": [], "seconds": None, "outcome": "killed" if killed else "done", "turn": turn,
                        "guest": name, "work": counted["anon_ops"], "first_grants_us": [], **counted})
    return records


def kills_of(stage):
    return [event for guest in stage.guests.values() for event in list(guest.events) if event.get("event") == "oom"]


def rotation(period_s, turns):
    return Scenario(f"rotate-{period_s}", f"need rotates every {period_s} s",
                    lambda stage, config, rng: rotate(stage, config, rng, period_s, turns), "work")


STEP_IDLE = Scenario("step-idle", "step burst, idle donors", step_idle)
STEP_BUSY = Scenario("step-busy", "step burst, busy donors", step_busy)
LEAK = Scenario("leak", "slow leak", leak)
EVERYONE = Scenario("everyone", "everyone at once", everyone)
MIXED = Scenario("mixed", "cache and anonymous", mixed)


def perform(scenario, stage, config, rng):
    """Runs one scenario; a guest that no longer answers is a result, too."""
    try:
        return scenario.run(stage, config, rng)
    except (LabError, OSError) as error:
        return [{"bursts": [], "seconds": None, "outcome": "stuck", "error": str(error)[:300], "first_grants_us": [],
                 "work": 0 if scenario.measure == "work" else None, "oom_kills": 0, "swap_out_bytes": 0,
                 "stalled_s": 0.0}]
