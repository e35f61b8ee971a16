"""From raw records to the figures that are shown: ratios against the unlimited runs, costs, and targets. Pure."""

import math
from collections import Counter

from stats import median, percentile, ratios, summary

BASE = "unlimited"
PROMPT = "prompt"
OURS = ("aerostat", "aerostat-agent")
GRANT_P50_MS, GRANT_P99_MS = 60, 150
STEP_RATIO, WORK_RATIO, DONOR_LOST = 1.15, 0.95, 0.10
DAEMON_SHARE, DAEMON_MIB, ASKING_SHARE = 0.005, 20, 0.005
MIB = 1 << 20


def variant_name(record):
    return (("swap" if record["swap"] else "no swap")
            + ("" if record["free_page_reporting"] else ", no free page reporting"))


def grouped(records):
    """{(scenario, variant): {config: [record, …]}} in the order of the records."""
    groups = {}
    for record in records:
        key = (record["scenario"], variant_name(record))
        groups.setdefault(key, {}).setdefault(record["config"], []).append(record)
    return groups


def slowdowns(records, base, measure):
    """How many times slower than the unlimited run each was; math.inf for what did not finish."""
    if measure == "work":
        usual = {turn: median([one["work"] for one in base if one.get("turn") == turn])
                 for turn in {one.get("turn") for one in base}}
        pairs = [(usual.get(one.get("turn")), one["work"]) for one in records]
        return [done and usual_work / done or math.inf for usual_work, done in pairs if usual_work]
    seconds = [math.inf if one["seconds"] is None else one["seconds"] for one in records]
    return ratios(seconds, [one["seconds"] for one in base])


def cell(records, base, measure):
    """One manager in one scenario: its slowdowns, their summary and how the runs ended."""
    values = slowdowns(records, base, measure)
    seconds = summary([one["seconds"] for one in records])
    return {"slowdowns": values, "summary": summary(values), "seconds": seconds,
            "outcomes": dict(Counter(one["outcome"] for one in records))}


def comparison(results):
    """[{scenario, title, variant, measure, reports (free pages), base (seconds or work), cells: {config: cell}}]"""
    rows = []
    titles = {one["name"]: one for one in results["scenarios"]}
    for (scenario, variant), configs in grouped(results["compare"]).items():
        base = configs.get(BASE, [])
        measure = titles[scenario]["measure"]
        field = "work" if measure == "work" else "seconds"
        rows.append({"scenario": scenario, "title": titles[scenario]["title"], "variant": variant, "measure": measure,
                     "reports": all(one["free_page_reporting"] for records in configs.values() for one in records),
                     "base": summary([one[field] for one in base]),
                     "cells": {name: cell(records, base, measure) for name, records in configs.items()}})
    return rows


def costs(results):
    """{config: {runs, oom_kills, swap_out_bytes, stalled_s, unfinished}} over everything compared."""
    total = {}
    for record in results["compare"]:
        row = total.setdefault(record["config"], {"runs": 0, "oom_kills": 0, "swap_out_bytes": 0, "stalled_s": 0.0,
                                                  "unfinished": 0, "over_seconds": None})
        row["runs"] += 1
        row["unfinished"] += record["outcome"] != "done"
        for key in ("oom_kills", "swap_out_bytes", "stalled_s"):
            row[key] += record.get(key) or 0
        if record.get("over_seconds") is not None:
            row["over_seconds"] = max(row["over_seconds"] or 0, record["over_seconds"])
    return total


def sessions_rested(results):
    """Of each session whose manager moves memory by itself, whether it had come to rest before the first scenario."""
    sessions = {(record["config"], record["round"], record["swap"], record["free_page_reporting"]): record["rested"]
                for record in results["compare"] if record.get("rested") is not None}
    return list(sessions.values())


def grants_ms(results, config):
    """(milliseconds of bursts that were granted, how many of those that needed it were not)."""
    asked = [one for one in results.get("latency", {}).get(config, []) if one["larger_than_spare"]]
    known = [one["first_grant_us"] / 1000 for one in asked if one["first_grant_us"] is not None]
    return known, len(asked) - len(known)


def grant_parts_ms(results, config):
    """[(step, median milliseconds)]: from the first page to the decision, on to the sending, on to the answer."""
    records = [one for one in results.get("latency", {}).get(config, [])
               if one.get("answered_us") is not None and one["larger_than_spare"]]
    marks = (("to the decision", None, "decided_us"), ("to its sending", "decided_us", "first_grant_us"),
             ("to the hypervisor's answer", "first_grant_us", "answered_us"))
    return [(step, median([(one[to] - (one[start] if start else 0)) / 1000 for one in records])) for step, start, to in marks] \
        if records else []


def target(what, wanted, value, met):
    """met: True, False, or None when it was not measured."""
    return {"what": what, "wanted": wanted, "value": value, "met": met}


def grant_targets(results):
    known, missed = grants_ms(results, "aerostat")
    wanted = f"p50 ≤ {GRANT_P50_MS} ms, p99 ≤ {GRANT_P99_MS} ms"
    what = "first page of a burst → first grant sent, without agent, with slack"
    if not known and not missed:
        return [target(what, wanted, "not measured", None)]
    # A burst that got no grant in time counts as the slowest.
    values = known + [math.inf] * missed
    p50, p99 = percentile(values, 50), percentile(values, 99)
    text = f"p50 {milliseconds(p50)}, p99 {milliseconds(p99)} ({len(values)} bursts" \
        + (f", {missed} without a grant in 2 s)" if missed else ")")
    return [target(what, wanted, text, p50 <= GRANT_P50_MS and p99 <= GRANT_P99_MS)]


def milliseconds(value):
    return "never" if math.isinf(value) else f"{value:.0f} ms"


def times(value):
    return "did not finish" if math.isinf(value) else f"{value:.2f} ×"


MODES = (("with free page reporting", True), ("without", False))


def step_rows(rows, reports):
    return [row for row in rows if row["scenario"] == "step-idle" and row["reports"] == reports]


def median_of(row, config):
    """The median slowdown of @config in a row of the comparison; None: not measured, or there was no unlimited run."""
    summary_of = row["cells"].get(config, {}).get("summary")
    return summary_of and summary_of["median"]


def beside_prompt(rows, title):
    """What is the manager's part of a step burst: its time over that of memory given at once by nobody; without a target."""
    found = []
    for mode, reports in MODES:
        pairs = [(median_of(row, "aerostat"), median_of(row, PROMPT)) for row in step_rows(rows, reports)]
        ratio = [ours / theirs for ours, theirs in pairs if ours and theirs]
        if ratio:
            found.append(target(f"step burst with idle donors, {title}, {mode}, beside memory given at once by nobody", "–",
                                " and ".join(f"{one:.2f} ×" for one in ratio), None))
    return found


def step_targets(rows, config, title):
    """A step burst with idle donors, as guests are that report their free pages, and as others are."""
    found = []
    for mode, reports in MODES:
        medians = [median_of(row, config) for row in step_rows(rows, reports)]
        known = [one for one in medians if one is not None]
        worst = max(known, default=math.inf)
        text, met = times(worst) if known else "not measured", worst <= STEP_RATIO if known else None
        if known and len(known) < len(medians):
            text, met = f"{text}; {len(known)} of {len(medians)} variants measured", met and None
        found.append(target(f"step burst with idle donors, {title}, {mode}: worse variant's median",
                            f"≤ {STEP_RATIO} × unlimited", text, met))
    return found


def compare_targets(results):
    rows = comparison(results)
    found = beside_prompt(rows, results["configs"].get("aerostat"))
    for config in OURS:
        title = results["configs"].get(config)
        if title is None:
            continue
        found += step_targets(rows, config, title)
        works = [row["cells"][config]["summary"]["median"] for row in rows
                 if row["measure"] == "work" and config in row["cells"] and row["cells"][config]["summary"]]
        if works:
            worst = 1 / max(works)
            found.append(target(f"rotating need, {title}: work done", f"≥ {WORK_RATIO:.0%} of unlimited", f"{worst:.1%}",
                                worst >= WORK_RATIO))
        cost = costs(results).get(config)
        if cost:
            found.append(target(f"all scenarios, {title}: OOM kills and swap-out", "0 and 0",
                                f"{cost['oom_kills']} and {cost['swap_out_bytes'] / MIB:.1f} MiB in {cost['runs']} runs",
                                cost["oom_kills"] == 0 and cost["swap_out_bytes"] == 0))
    return found


def donor_targets(results):
    what, wanted = "donor's work lost while it gives half of its idle memory, nobody waits", f"≤ {DONOR_LOST:.0%}"
    lost = [one["lost_share"] for one in results.get("donor", []) if one["lost_share"] is not None]
    if not lost:
        return [target(what, wanted, "not measured", None)]
    given = median([one["given_bytes"] for one in results["donor"]]) / MIB
    rate = median([one["given_bytes"] / one["seconds"] / MIB for one in results["donor"] if one["seconds"] > 0])
    enough = all(one["given_bytes"] * 2 >= one["idle_bytes"] * 0.95 for one in results["donor"])
    text = f"{median(lost):.1%} (worst {max(lost):.1%}; {given:.0f} MiB given at {rate:.0f} MiB/s)"
    return [target(what, wanted, text if enough else text + "; less than half given", median(lost) <= DONOR_LOST and enough)]


def steady_targets(results):
    one = results.get("steady")
    if not one:
        return [target("daemon with 8 idle guests", f"≤ {DAEMON_SHARE:.1%} of a core, ≤ {DAEMON_MIB} MiB", "not measured", None)]
    share, resident = one["daemon_core_share"], one["daemon_resident_bytes"] / MIB
    asking, turns = one["asking_core_share"], [turn["asked"] - turn["unasked"] for turn in one["turns"]]
    return [target(f"daemon with {one['guests']} idle guests: processor", f"≤ {DAEMON_SHARE:.1%} of a core",
                   f"{share:.2%} over {one['seconds']:.0f} s ({one['beats']} beats)", share <= DAEMON_SHARE),
            target(f"daemon with {one['guests']} idle guests: resident", f"≤ {DAEMON_MIB} MiB", f"{resident:.1f} MiB",
                   resident <= DAEMON_MIB),
            target("QEMU's extra processor time of being asked, per guest", f"≤ {ASKING_SHARE:.1%} of a core",
                   f"{asking:+.2%} ({min(turns):+.2%} to {max(turns):+.2%})", asking <= ASKING_SHARE)]


def grants_while_stopped_ms(runs):
    """First grants sent while the donor was stopped; one from before says nothing of it."""
    return [math.inf if us is None else us / 1000 for one in runs
            for us, stopped_us in zip(one["first_grants_us"], one["stopped_after_us"], strict=True) if us is None or us >= stopped_us]


def stopped_targets(results):
    runs = results.get("stopped", [])
    what, wanted = "a donor's QEMU stopped in mid-burst: the others", f"≤ {STEP_RATIO} × unlimited, grants ≤ {GRANT_P99_MS} ms"
    bases = runs and runs[0].get("base_seconds")
    if not bases:
        return [target(what, wanted, "not measured", None)]
    slow = [(math.inf if one["bursts"][0]["seconds"] is None else one["bursts"][0]["seconds"]) / one["base_seconds"]
            for one in runs]
    grants = grants_while_stopped_ms(runs)
    late = sum(burst["seconds"] is None for one in runs for burst in one["bursts"])
    hurt = sum(one["oom_kills"] for one in runs), sum(one["swap_out_bytes"] for one in runs)
    # As any step burst by its median, if all are done; of the grants by the slowest.
    met = median(slow) <= STEP_RATIO and max(grants) <= GRANT_P99_MS and not any(hurt) and late == 0
    return [target(what, wanted, f"{times(median(slow))} (slowest of {len(slow)}: {times(max(slow))}), slowest of {len(grants)} grants "
                                 f"{milliseconds(max(grants))}, {late} bursts not done, {hurt[0]} kills, {hurt[1] / MIB:.0f} MiB swapped", met)]


def targets(results):
    return (grant_targets(results) + compare_targets(results) + donor_targets(results) + stopped_targets(results)
            + steady_targets(results))
