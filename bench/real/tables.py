"""The figures as Markdown tables that are also fit to read in a terminal. Pure."""

import math

import figures
from stats import percentile, summary

MIB = 1 << 20
OUTCOMES = {"killed": "killed", "late": "not in time", "stuck": "no answer"}


def table(head, rows):
    """A Markdown table with its columns padded; the first is to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        padded = [cells[0].ljust(widths[0])] + [one.rjust(width) for one, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join(padded) + " |"
    rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def spread(summary, form="{:.2f}"):
    """Median, and lowest to highest where there is more than one."""
    if summary is None:
        return "–"
    if summary["n"] == 1 or math.isinf(summary["high"]):
        return form.format(summary["median"])
    return f"{form.format(summary['median'])} ({form.format(summary['low'])}–{form.format(summary['high'])})"


def failures(outcomes):
    total = sum(outcomes.values())
    return ", ".join(f"{OUTCOMES[name]} {count}/{total}" for name, count in outcomes.items() if name != "done")


def cell_text(cell):
    failed = failures(cell["outcomes"])
    if cell["summary"] is None or math.isinf(cell["summary"]["median"]):
        return failed or "–"
    return spread(cell["summary"]) + (f"; {failed}" if failed else "")


def comparison_table(results):
    names = [name for name in results["configs"] if name != figures.BASE]
    head = ["Scenario", "Unlimited"] + [results["configs"][name] for name in names]
    rows = []
    for row in figures.comparison(results):
        base = "work" if row["measure"] == "work" else spread(row["base"], "{:.1f}") + " s"
        cells = [cell_text(row["cells"][name]) if name in row["cells"] else "" for name in names]
        rows.append([f"{row['title']} ({row['variant']})", base, *cells])
    return table(head, rows)


def cost_table(results):
    rows = []
    for name, cost in figures.costs(results).items():
        over = "–" if cost["over_seconds"] is None else f"{cost['over_seconds']:.1f} s"
        rows.append([results["configs"][name], str(cost["runs"]), str(cost["unfinished"]), str(cost["oom_kills"]),
                     f"{cost['swap_out_bytes'] / MIB:.0f} MiB", f"{cost['stalled_s']:.1f} s", over])
    return table(["Manager", "Runs", "Not finished", "OOM kills", "Swapped out", "Stalled", "Pool exceeded"], rows)


def grant_table(results):
    rows = []
    for name in results.get("latency", {}):
        known, missed = figures.grants_ms(results, name)
        if known:
            marks = [f"{percentile(known, percent):.0f} ms" for percent in (50, 90, 99)]
            split = " + ".join(f"{ms:.0f}" for _, ms in figures.grant_parts_ms(results, name))
            rows.append([results["configs"].get(name, name), str(len(known)), str(missed), f"{min(known):.0f} ms", *marks,
                         split + " ms" if split else "–"])
    head = ["Bursts of 256 MiB", "Granted", "Not in 2 s", "Fastest", "p50", "p90", "p99", "decided + sent + taken"]
    return table(head, rows) if rows else ""


def target_table(results):
    words = {True: "met", False: "**not met**", None: "–"}
    rows = [[one["what"], one["wanted"], one["value"], words[one["met"]]] for one in figures.targets(results)]
    return table(["What", "Target", "Measured", ""], rows)


def fresh_words(results):
    """What the first touch of a page cost before and after each part: how slow the machine itself was at times."""
    found = summary(results["fresh_page_us"])
    return f" A fresh page cost {found['median']:.1f} us ({found['low']:.1f} to {found['high']:.1f})." if found else ""


def rest_lines(results):
    """How many of Aerostat's sessions began when all balloons were where it wanted them."""
    rested = figures.sessions_rested(results)
    return [f"Aerostat had come to rest before {sum(rested)} of its {len(rested)} sessions."] if rested else []


def method_lines(results):
    about = results["about"]
    return [f"Machine: {about['machine']}; guests under {about['accelerator']}; load average before the run {about['load']:.1f}."
            + fresh_words(results),
            *rest_lines(results),
            f"Aerostat {about['version']}; run of {about['date']}, seed {about['seed']}, {about['minutes']:.0f} minutes.",
            f"{about['guests']} guests of {about['maximum_bytes'] // MIB} MiB share {about['pool_bytes'] // MIB} MiB "
            f"({about['pool_bytes'] / about['maximum_bytes'] / about['guests']:.0%} of what they were sold); all scenarios fit "
            "into that."]


def report(results):
    """Everything, as Markdown."""
    parts = ["\n".join(f"- {line}" for line in method_lines(results)), target_table(results)]
    if results["compare"]:
        parts += ["Times slower than the unlimited run (median, lowest–highest; 1.00 is as fast; for rotating need: "
                  "unlimited's work ÷ work done):", comparison_table(results),
                  "What it cost the guests, over all scenarios:", cost_table(results)]
    grants = grant_table(results)
    if grants:
        parts += ["From the first page of a burst to the first grant sent:", grants]
    parts += [f"Note: {note}" for note in results["notes"]]
    return "\n\n".join(parts) + "\n"
