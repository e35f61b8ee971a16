"""The figures as one picture: how much slower than unlimited each manager is, and how soon the first grant goes. Pure."""

import math
from xml.sax.saxutils import escape

import figures
from stats import median, percentile

WIDTH, LEFT, RIGHT = 960, 290, 40
ROW, HEAD = 46, 92
PLOT_RIGHT = WIDTH - RIGHT - 110
FAILED_X = WIDTH - RIGHT - 52
RATIO_LOW, RATIO_HIGH = 0.75, 5.0
TICKS = (1, 1.15, 1.5, 2, 3, 4)
STYLE = """
  svg { color-scheme: light dark }
  text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2933 }
  .title { font-size: 18px; font-weight: 600 } .small { font-size: 11.5px; fill: #616e7c } .fail { font-size: 11px }
  .paper { fill: #ffffff } .band { fill: #f3f5f7 } .grid { stroke: #d5dae0; stroke-width: 1 }
  .one { stroke: #3e4c59; stroke-width: 1.5 } .goal { stroke: #2f9e44; stroke-width: 1.5; stroke-dasharray: 5 4 }
  .mark { font-size: 11.5px; fill: #3e4c59; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
  .goaltext { fill: #2b8a3e; font-size: 11.5px }
  .c0 { fill: #868e96; stroke: #868e96 } .c1 { fill: #1971c2; stroke: #1971c2 } .c2 { fill: #0c8599; stroke: #0c8599 }
  .c3 { fill: #d9480f; stroke: #d9480f } .c4 { fill: #9c36b5; stroke: #9c36b5 } .c5 { fill: #a67c00; stroke: #a67c00 }
  .dot { stroke: none; fill-opacity: .38 } .mid { stroke-width: 4; stroke-linecap: round }
  .span { stroke-width: 1.5; stroke-opacity: .55 } text.c0, text.c1, text.c2, text.c3, text.c4, text.c5 { stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb } .small { fill: #9aa5b1 } .paper { fill: #16191d } .band { fill: #1e2329 } .grid { stroke: #39424c }
    .one { stroke: #cbd2d9 } .mark { fill: #cbd2d9; stroke: #16191d } .goal { stroke: #51cf66 } .goaltext { fill: #69db7c }
    .c0 { fill: #adb5bd; stroke: #adb5bd } .c1 { fill: #4dabf7; stroke: #4dabf7 } .c2 { fill: #3bc9db; stroke: #3bc9db }
    .c3 { fill: #ff922b; stroke: #ff922b } .c4 { fill: #da77f2; stroke: #da77f2 } .c5 { fill: #ffd43b; stroke: #ffd43b }
  }
"""


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def dot(x, y, kind, radius=4.0):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind} dot"/>'


def ratio_x(ratio):
    share = math.log(max(ratio, RATIO_LOW) / RATIO_LOW) / math.log(RATIO_HIGH / RATIO_LOW)
    return LEFT + min(share, 1.0) * (PLOT_RIGHT - LEFT)


def colours(results):
    """{config: class}; the two of this project keep theirs."""
    fixed = {"static": "c0", "aerostat": "c1", "aerostat-agent": "c2"}
    others = [name for name in results["configs"] if name not in fixed and name != figures.BASE]
    return {**{name: kind for name, kind in fixed.items() if name in results["configs"]},
            **{name: f"c{3 + i % 3}" for i, name in enumerate(others)}}


def strip(values, y, kind):
    """One manager in one row: its measurements, their span and the median; what did not finish stands at the right."""
    finished = [value for value in values if not math.isinf(value)]
    parts = [dot(ratio_x(value), y, kind) for value in finished]
    if finished:
        parts.append(line(ratio_x(min(finished)), y, ratio_x(max(finished)), y, f"{kind} span"))
    middle = median(values)
    if middle is not None and not math.isinf(middle):
        parts.append(line(ratio_x(middle), y - 5, ratio_x(middle), y + 5, f"{kind} mid"))
    failed = len(values) - len(finished)
    if failed:
        parts.append(text(FAILED_X, y + 4, f"{failed} of {len(values)}", f"{kind} fail", "middle"))
    return parts


def row_height(row, shades):
    return max(ROW, 16 + 13 * sum(name in row["cells"] for name in shades))


def comparison_rows(rows, shades, top):
    parts, y = [], top
    for number, row in enumerate(rows):
        height = row_height(row, shades)
        if number % 2 == 0:
            parts.append(f'<rect x="0" y="{y}" width="{WIDTH}" height="{height}" class="band"/>')
        parts.append(text(24, y + height / 2 - 2, row["title"]))
        parts.append(text(24, y + height / 2 + 14, row["variant"], "small"))
        present = [name for name in shades if name in row["cells"]]
        step = (height - 14) / max(len(present), 1)
        for i, name in enumerate(present):
            parts += strip(row["cells"][name]["slowdowns"], y + 7 + step * (i + 0.5), shades[name])
        y += height
    return parts, y


def legend(results, shades, y):
    parts, x = [], LEFT
    for name, kind in shades.items():
        parts += [dot(x, y - 4, kind, 5), text(x + 10, y, results["configs"][name])]
        x += 34 + 7.2 * len(results["configs"][name])
    return parts


def comparison_part(results, shades):
    rows = figures.comparison(results)
    body, bottom = comparison_rows(rows, shades, HEAD)
    axis = []
    for tick in TICKS:
        kind = {1: "one", 1.15: "goal"}.get(tick, "grid")
        axis.append(line(ratio_x(tick), HEAD - 4, ratio_x(tick), bottom, kind))
        words = "unlimited" if tick == 1 else f"{tick:g} ×"
        axis.append(text(ratio_x(tick), bottom + 17, words, "goaltext" if tick == 1.15 else "small",
                         "end" if tick == 1 else "start" if tick == 1.15 else "middle"))
    head = [text(24, 34, "How many times slower than with unlimited memory", "title"), *legend(results, shades, 64),
            text(FAILED_X, 80, "did not finish", "small", "middle")]
    bands = [part for part in body if part.startswith("<rect")]
    return [*head, *bands, *axis, *[part for part in body if not part.startswith("<rect")]], bottom + 30


def grant_x(ms, high):
    return LEFT + min(ms / high, 1.0) * (PLOT_RIGHT - LEFT)


def grant_row(values, missed, y, kind, high):
    """Every burst a dot, in the order of the run from top to bottom; the middle and the slow end as marks."""
    parts = [dot(grant_x(value, high), y - 14 + 28 * (i + 0.5) / len(values), kind, 3.5) for i, value in enumerate(values)]
    for percent in (50, 99):
        x = grant_x(percentile(values, percent), high)
        parts += [line(x, y - 16, x, y + 16, f"{kind} mid"),
                  text(x, y + 30, f"p{percent} {percentile(values, percent):.0f} ms", "mark", "middle")]
    if missed:
        parts.append(text(FAILED_X, y + 4, f"{missed} of {len(values) + missed}", f"{kind} fail", "middle"))
    return parts


def grant_part(results, shades, top):
    groups = {name: figures.grants_ms(results, name) for name in results.get("latency", {})}
    groups = {name: group for name, group in groups.items() if group[0]}
    if not groups:
        return [], top
    high = max(200.0, 1.05 * max(max(values) for values, _ in groups.values()))
    parts = [text(24, top + 38, "From the first page of a burst to the first grant sent", "title")]
    y = top + 112
    bottom = y + 70 * len(groups) - 24
    for tick in range(50, int(high) + 1, 50 if high <= 500 else 250):
        parts += [line(grant_x(tick, high), top + 76, grant_x(tick, high), bottom, "grid"),
                  text(grant_x(tick, high), bottom + 17, f"{tick} ms", "small", "middle")]
    for wanted, words in ((figures.GRANT_P50_MS, "p50 wanted"), (figures.GRANT_P99_MS, "p99 wanted")):
        x = grant_x(wanted, high)
        parts += [line(x, top + 76, x, bottom, "goal"), text(x, top + 69, f"{words}: {wanted} ms", "goaltext", "middle")]
    parts += [line(LEFT, top + 76, LEFT, bottom, "one"), text(LEFT, bottom + 17, "0", "small", "middle")]
    for name, (values, missed) in groups.items():
        parts.append(text(24, y + 2, results["configs"].get(name, name)))
        parts.append(text(24, y + 18, f"{len(values)} bursts of 256 MiB, with slack", "small"))
        parts += grant_row(values, missed, y, shades.get(name, "c1"), high)
        y += 70
    return parts, bottom + 34


def picture(results):
    """The whole SVG document."""
    shades = colours(results)
    parts, y = comparison_part(results, shades) if results["compare"] else ([], 0)
    more, y = grant_part(results, shades, y)
    y += 8
    parts += more + [text(24, y + 14, results["about"]["machine"] + f"; {results['about']['accelerator']}", "small")]
    height = int(y + 32)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'role="img" aria-labelledby="title">\n<title id="title">Memory bursts under several managers, against '
            f'unlimited memory</title>\n<style>{STYLE}</style>\n<rect width="{WIDTH}" height="{height}" class="paper"/>\n'
            + "\n".join(parts) + "\n</svg>\n")
