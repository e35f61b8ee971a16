"""Real guests under several memory managers, taken in turns in one run: see docs/performance.md.

  bench/run [--quick|--full] [--only PART,…] [--manager NAME=COMMAND] [--markdown FILE] relief

Environment: BENCH_FULL=1 as --full; BENCH_MANAGER='command' adds a manager, called with libvirt's URI and the pool.
"""

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "lab")]
import aerolab  # noqa: E402
import configs  # noqa: E402
import figures  # noqa: E402
import host  # noqa: E402
import picture  # noqa: E402
import probes  # noqa: E402
import scenarios  # noqa: E402
import tables  # noqa: E402
from aerodaemon import BUILD, program  # noqa: E402
from scenarios import EVERYONE, LEAK, MIXED, STEP_BUSY, STEP_IDLE, rotation  # noqa: E402
from stage import MAXIMUM_BYTES, MIB, LabError, Stage  # noqa: E402

NAMES = ["a", "b", "c", "d"]
POOL_BYTES = 1840 * MIB
# What a donor has had of rest when it is stopped: as long as it takes Aerostat to have back what it used last.
RESTED_S = 20.0
PARTS = ("compare", "variants", "latency", "donor", "stopped", "steady")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Plan:
    """How much is measured."""

    def __init__(self, quick, full):
        # Each list is one round: all managers take their turn in it before the next begins.
        # On a shared host the same work was seen to take half as long again a second later: five step bursts of each.
        self.rounds = [[STEP_IDLE, STEP_BUSY, EVERYONE, LEAK], [STEP_IDLE, MIXED, rotation(8, 3)], *[[STEP_IDLE]] * 3]
        self.variant, self.variant_rounds = [STEP_IDLE], 5
        self.bursts, self.agent_bursts, self.donors, self.stops, self.steady_s = 30, 6, 4, 4, 60
        if quick:
            self.rounds, self.variant_rounds = [[STEP_IDLE, rotation(8, 2)]], 1
            self.bursts, self.agent_bursts, self.donors, self.stops, self.steady_s = 10, 0, 1, 1, 15
        if full:
            self.rounds = self.rounds * 3 + [[rotation(5, 8)], [rotation(30, 4)], [rotation(60, 4)]]
            self.variant = [STEP_IDLE, STEP_IDLE, EVERYONE, LEAK, STEP_BUSY]
            self.bursts, self.agent_bursts, self.donors, self.stops = 100, 50, 6, 6

    def scenarios(self):
        """Every scenario once."""
        found = {}
        for one in sum(self.rounds, list(self.variant)):
            found.setdefault(one.name, one)
        return list(found.values())


class Bench:
    """One run: what was found so far, and the clock."""

    def __init__(self, options):
        self.options, self.plan = options, Plan(options.quick, options.full)
        self.parts = PARTS if not options.only else tuple(options.only.split(","))
        self.started, self.lab, self.stage = time.monotonic(), None, None
        self.agent = self.find_agent()
        self.managers = [configs.Unlimited(), configs.Static(), configs.Prompt(), configs.Aerostat()]
        if self.agent:
            self.managers.append(configs.Aerostat(uses_agent=True))
        self.managers += [configs.External(*pair) for pair in options.manager]
        self.results = {
            "format": 1, "about": {}, "configs": {one.name: one.title for one in self.managers},
            "scenarios": [{"name": one.name, "title": one.title, "measure": one.measure} for one in self.plan.scenarios()],
            "compare": [], "latency": {}, "donor": [], "stopped": [], "steady": None, "fresh_page_us": [], "notes": []}
        self.failed = False

    @staticmethod
    def find_agent():
        try:
            return program("aerostat-agent")
        except LabError:
            return None

    def progress(self, words):
        print(f"[{time.monotonic() - self.started:4.0f} s] {words}", flush=True)

    def note(self, words):
        self.results["notes"].append(words)
        self.progress(words)

    def run(self):
        self.about()
        if not self.agent:
            self.note("this build has no aerostat-agent: measured without one only")
        reporting, silent = {"compare", "latency", "donor", "stopped", "steady"}, {"variants"}
        if (reporting | silent) & set(self.parts):
            self.with_guests(True, self.reporting_parts)
        if "variants" in self.parts and not self.options.quick:
            self.with_guests(False, self.silent_parts)

    def about(self):
        version = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True,
                                 check=False).stdout.strip()
        accelerator, _ = aerolab.accelerator()
        self.results["about"] = {
            "machine": host.machine(), "accelerator": accelerator.upper(), "load": host.load_average(),
            "version": version or "unknown", "date": time.strftime("%Y-%m-%d", time.gmtime()), "seed": self.options.seed,
            "guests": len(NAMES), "maximum_bytes": MAXIMUM_BYTES, "pool_bytes": POOL_BYTES, "minutes": 0.0}

    def with_guests(self, free_page_reporting, action):
        with aerolab.Lab() as self.lab:
            group = ", the lab in one scheduling group" if self.lab.one_group else ""
            self.results["about"]["machine"] = host.machine() + group
            self.stage = Stage(self.lab, NAMES, free_page_reporting=free_page_reporting, agent=self.agent)
            self.progress(f"{len(NAMES)} guests are up, free page reporting {'on' if free_page_reporting else 'off'}")
            action()

    def reporting_parts(self):
        if "compare" in self.parts:
            for number, round_scenarios in enumerate(self.plan.rounds):
                self.guarded(f"round {number}", lambda n=number, r=round_scenarios: self.round(n, r, self.managers, swap=True))
        if "variants" in self.parts:
            self.variants("no swap", 100, self.managers, swap=False)
        for part in ("latency", "donor", "stopped", "steady"):
            if part in self.parts:
                self.guarded(part, getattr(self, part))

    def silent_parts(self):
        ours = [one for one in self.managers if one.name != "static"]
        for number, swap in ((200, True), (300, False)):
            self.variants("swap" if swap else "no swap", number, ours, swap)

    def variants(self, part, first, managers, swap):
        for number in range(first, first + self.plan.variant_rounds):
            self.guarded(part, lambda n=number: self.round(n, self.plan.variant, managers, swap))

    def guarded(self, part, action):
        """A part that fails is said and fails the run, and the others go on."""
        self.results["fresh_page_us"].append(host.fresh_page_us())
        try:
            action()
        except (LabError, OSError, KeyError, TypeError) as error:
            self.failed = True
            self.note(f"{part}: failed: {type(error).__name__}: {str(error)[:300]}")
        self.results["fresh_page_us"].append(host.fresh_page_us())

    def round(self, number, round_scenarios, managers, swap):
        """Every manager, in an order of this round's own, with the same random choices for each."""
        order = random.Random(f"{self.options.seed}/{number}/order").sample(managers, len(managers))
        self.stage.set_swap(swap)
        for manager in order:
            self.guarded(manager.name, lambda: self.session(number, round_scenarios, manager, swap))

    def session(self, number, round_scenarios, manager, swap):
        with manager.run(self.stage, POOL_BYTES) as config:
            for place, scenario in enumerate(round_scenarios):
                if config.scenarios and scenario.name not in config.scenarios:
                    continue
                rng = random.Random(f"{self.options.seed}/{number}/{place}")
                residents = host.Residents(guest.pid for guest in self.stage.guests.values())
                records = scenarios.perform(scenario, self.stage, config, rng)
                peak_bytes, over = residents.stop(), config.over_seconds()
                for record in records:
                    self.results["compare"].append(
                        {"round": number, "swap": swap, "free_page_reporting": self.stage.free_page_reporting,
                         "config": manager.name, "scenario": scenario.name, "peak_resident_bytes": peak_bytes,
                         "over_seconds": over, "rested": config.rested if place == 0 else None, **record})
                self.progress(f"{manager.title}: {scenario.title}: {self.words(records)}")
                self.keep_journal(config, f"{number}-{place}-{scenario.name}-{manager.name}")
            if isinstance(config, configs.External):
                config.check()

    def keep_journal(self, config, name):
        """What the daemon decided and why, and how the servers stand, for whoever asks where the time went."""
        if self.options.journals and isinstance(config, configs.Aerostat):
            folder = Path(self.options.journals)
            folder.mkdir(parents=True, exist_ok=True)
            told = {"journal": config.daemon.call("journal", limit=1000), "servers": config.daemon.servers(),
                    "status": config.daemon.call("status"), "log": config.daemon.log_text()[-20000:]}
            (folder / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def words(records):
        ends = [f"{one['seconds']:.2f} s" if one["seconds"] is not None else
                f"{one['work']} pages" if one.get("work") else one["outcome"] + f" {one.get('error', '')}" for one in records]
        swapped = sum(one["swap_out_bytes"] for one in records) / MIB
        kills = sum(one["oom_kills"] for one in records)
        grants = [f"{us / 1000:.0f}" for one in records for us in one["first_grants_us"] if us is not None]
        return ", ".join(ends) + (f"; {swapped:.0f} MiB swapped out" if swapped else "") + (f"; {kills} kills" if kills else "") \
            + (f"; first grant after {', '.join(grants)} ms" if grants else "")

    def latency(self):
        self.stage.set_swap(True)
        rng = random.Random(f"{self.options.seed}/latency")
        for uses_agent, bursts in ((False, self.plan.bursts), (True, self.plan.agent_bursts if self.agent else 0)):
            if bursts:
                name = "aerostat-agent" if uses_agent else "aerostat"
                self.results["latency"][name] = probes.latency(self.stage, rng, bursts, uses_agent, self.progress)
                known, missed = figures.grants_ms(self.results, name)
                self.progress(f"first grants, {name}: " + " ".join(f"{ms:.0f}" for ms in sorted(known)) + f" ms; {missed} missed")

    def donor(self):
        for number in range(self.plan.donors):
            record = probes.donor(self.stage, NAMES[number % len(NAMES)])
            self.results["donor"].append(record)
            lost = "nothing given" if record["lost_share"] is None else f"{record['lost_share']:.1%} of its work lost"
            rates = record["rates"] or {"low": 0.0, "high": 0.0}
            self.progress(f"donor {record['guest']}: {lost}, {record['given_bytes'] / MIB:.0f} of {record['idle_bytes'] / MIB:.0f}"
                          f" MiB in {record['seconds']:.1f} s; it wrote {rates['low'] / 1e6:.1f} to"
                          f" {rates['high'] / 1e6:.1f} million pages a second")

    def stopped(self):
        self.stage.set_swap(True)
        base = figures.median([one["seconds"] for one in self.results["compare"] if one["config"] == figures.BASE
                               and one["scenario"] == STEP_IDLE.name and one["seconds"] is not None])
        if base is None:
            with self.managers[0].run(self.stage, POOL_BYTES):
                base = figures.median([self.stage.burst(name, 560).seconds for name in NAMES[:2]])
        with configs.Aerostat().run(self.stage, POOL_BYTES) as config:
            for number in range(self.plan.stops):
                rng = random.Random(f"{self.options.seed}/stopped/{number}")
                record = probes.stopped_donor(self.stage, config, rng, base, RESTED_S)
                self.results["stopped"].append(record)
                seconds = record["bursts"][0]["seconds"]
                self.progress(f"donor {record['victim']} stopped in mid-burst with {record['held_bytes'] // MIB} MiB: "
                              + ("not finished" if seconds is None else f"{seconds:.2f} s, {seconds / base:.2f} × unlimited")
                              + f"; first grants {record['first_grants_us']} us")

    def steady(self):
        self.stage.extend(["e", "f", "g", "h"])
        self.progress("8 guests are up")
        self.results["steady"] = probes.steady(self.stage, self.plan.steady_s, self.progress)


def plain(value):
    """For JSON, which has no infinity."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def put_into(path, text, picture_name):
    """Replaces what stands between the marks of a document, or writes a new one."""
    body = f"{BEGIN}\n![How much slower than with unlimited memory]({picture_name})\n\n{text}{END}"
    if path.exists() and BEGIN in path.read_text(encoding="utf-8"):
        before, rest = path.read_text(encoding="utf-8").split(BEGIN, 1)
        after = rest.split(END, 1)[1] if END in rest else "\n"
        path.write_text(before + body + after, encoding="utf-8")
    else:
        path.write_text(body + "\n", encoding="utf-8")


def write(results, options, minutes):
    """The result file and its picture, and the document if one was asked for."""
    results["about"]["minutes"] = minutes
    output = Path(options.json or BUILD.parent / "bench" / "relief.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(plain(results), indent=1) + "\n", encoding="utf-8")
    svg = output.with_suffix(".svg")
    svg.write_text(picture.picture(results), encoding="utf-8")
    print("\n" + tables.report(results))
    print(f"Raw figures: {output}; picture: {svg}", flush=True)
    if options.markdown:
        path = Path(options.markdown)
        path.with_suffix(".svg").write_text(svg.read_text(encoding="utf-8"), encoding="utf-8")
        put_into(path, tables.report(results), path.with_suffix(".svg").name)
        print(f"Written into {path}", flush=True)


def manager(text):
    name, _, command = text.partition("=")
    if not command or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=COMMAND, such as proxmox=bench/managers/proxmox")
    return name, command


def parts(text):
    unknown = [name for name in text.split(",") if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return text


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/run relief", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about 9 minutes, for development")
    size.add_argument("--full", action="store_true", default=os.environ.get("BENCH_FULL") == "1",
                      help="more of everything: about two hours")
    parser.add_argument("--only", type=parts, metavar="PART,…", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--manager", type=manager, action="append", default=[], metavar="NAME=COMMAND",
                        help="compare with another manager, too; COMMAND is called with libvirt's URI and the pool in bytes")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--journals", metavar="DIR", help="keep the daemon's journal of every scenario there")
    parser.add_argument("--json", metavar="FILE", help="raw figures (build/bench/relief.json)")
    parser.add_argument("--markdown", metavar="FILE", help="put the figures into this document, and the picture beside it")
    options = parser.parse_args(arguments)
    if os.environ.get("BENCH_MANAGER"):
        options.manager.append(("external", os.environ["BENCH_MANAGER"]))
    return options


def main(arguments):
    bench = Bench(parse(arguments))
    # Both end the guests in order, and what was measured until then is shown.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        bench.run()
    except aerolab.LabUnavailable as error:
        print(f"SKIP: {error}")
        return 0
    except KeyboardInterrupt:
        bench.failed = True
        bench.note("stopped before its end")
    except LabError as error:
        bench.failed = True
        bench.note(f"failed: {str(error)[:300]}")
    write(bench.results, bench.options, (time.monotonic() - bench.started) / 60)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
