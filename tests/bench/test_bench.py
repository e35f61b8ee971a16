"""The bench's own arithmetic: statistics, figures from records, tables, the picture, the example managers' rules."""

import importlib.machinery
import importlib.util
import math
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path[:0] = [str(BENCH / "real"), str(BENCH / "managers")]
import figures  # noqa: E402
import picture  # noqa: E402
import stats  # noqa: E402
import tables  # noqa: E402

MIB = 1 << 20


def load(path):
    """A program without a suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(path.name, loader))
    loader.exec_module(module)
    return module


def record(config, scenario="step-idle", seconds=2.0, **more):
    return {"config": config, "scenario": scenario, "swap": True, "free_page_reporting": True, "seconds": seconds,
            "outcome": "done" if seconds is not None else "killed", "oom_kills": 0, "swap_out_bytes": 0, "stalled_s": 0.0,
            "over_seconds": None, **more}


def results(**more):
    return {"about": {"machine": "2 x <processor> & more", "accelerator": "TCG", "load": 0.1, "version": "v1", "date": "2026-01-01",
                      "seed": 1, "minutes": 14.2, "guests": 4, "maximum_bytes": 768 * MIB, "pool_bytes": 1840 * MIB},
            "configs": {"unlimited": "unlimited", "static": "static shares", "aerostat": "Aerostat"},
            "scenarios": [{"name": "step-idle", "title": "step burst", "measure": "completion"},
                          {"name": "rotate-8", "title": "need rotates", "measure": "work"}],
            "compare": [], "latency": {}, "donor": [], "stopped": [], "steady": None, "fresh_page_us": [], "notes": [], **more}


def rotation(config, works):
    return [record(config, "rotate-8", None, outcome="done", turn=turn, work=work) for turn, work in enumerate(works)]


def by_what(found, words):
    return next(one for one in found if words in one["what"])


class Statistics(unittest.TestCase):
    def test_median(self):
        for values, expected in (([], None), ([3], 3), ([3, 1], 2), ([5, 1, 3], 3), ([1, math.inf, 2], 2)):
            self.assertEqual(stats.median(values), expected, values)
        self.assertTrue(math.isinf(stats.median([1, math.inf])))

    def test_percentile_is_a_value_that_was_measured(self):
        values = list(range(1, 101))
        for percent, expected in ((0, 1), (1, 1), (50, 50), (99, 99), (100, 100)):
            self.assertEqual(stats.percentile(values, percent), expected)
        self.assertEqual(stats.percentile([10, 20, 30], 50), 20)
        self.assertEqual(stats.percentile([10, 20, 30], 99), 30, "of few values p99 is the slowest")
        self.assertIsNone(stats.percentile([], 50))

    def test_summary_leaves_out_what_is_not_known(self):
        self.assertEqual(stats.summary([None, 4, 2, 9]), {"n": 3, "median": 4, "low": 2, "high": 9})
        self.assertIsNone(stats.summary([None]))

    def test_ratios(self):
        self.assertEqual(stats.ratios([2, 6, None], [1, 2, 3, None]), [1.0, 3.0])
        self.assertEqual(stats.ratios([2], []), [])
        self.assertEqual(stats.ratios([2], [math.inf]), [])

    def test_lost_share(self):
        # Its speed doubles half way, which is no gain; and how long nothing was taken before and after is no matter.
        slow, fast, half, none = [(0.2, 20, 0)] * 10, [(0.2, 40, 0)] * 10, (0.2, 10, 8), (0.2, 0, 8)
        self.assertEqual(stats.lost_share([*slow, (0.2, 20, 8), *slow, *fast]), 0.0)
        self.assertAlmostEqual(stats.lost_share([*slow, none, *slow]), 1.0)
        self.assertAlmostEqual(stats.lost_share([*slow, half, *slow[:3], half, *slow]), 20 / 100)
        self.assertAlmostEqual(stats.lost_share([*slow * 5, half, *slow[:3], half, *slow, *fast * 5]), 20 / 100)
        self.assertEqual(stats.lost_share([*slow, (0.2, 30, 8)]), 0.0, "nobody gains by giving")
        self.assertIsNone(stats.lost_share(slow), "nothing was taken")
        self.assertIsNone(stats.lost_share([(0.2, 20, 8)] * 20), "nothing to hold it against")


class Figures(unittest.TestCase):
    def test_slower_than_unlimited(self):
        records = [record("unlimited", seconds=s) for s in (1.9, 2.0, 2.5)] + [record("aerostat", seconds=s) for s in (2.0, 3.0)]
        row = figures.comparison(results(compare=records))[0]
        self.assertEqual(row["cells"]["aerostat"]["slowdowns"], [1.0, 1.5])
        self.assertEqual(row["cells"]["aerostat"]["summary"]["median"], 1.25)
        found = by_what(figures.targets(results(compare=records)), "step burst")
        self.assertEqual((found["met"], found["value"]), (False, "1.25 ×"))

    def test_step_burst_is_judged_apart_without_free_page_reporting(self):
        records = [record("unlimited"), record("aerostat", seconds=2.2), record("unlimited", swap=False),
                   record("aerostat", swap=False, seconds=2.0)]
        silent = [record(one["config"], seconds=seconds, free_page_reporting=False)
                  for one, seconds in zip(records[:2], (1.0, 1.5), strict=True)]
        found = figures.targets(results(compare=records + silent))
        with_it, without = by_what(found, "with free page reporting"), by_what(found, "without:")
        self.assertEqual((with_it["value"], with_it["met"]), ("1.10 ×", True))
        self.assertEqual((without["value"], without["met"]), ("1.50 ×", False))
        half = figures.targets(results(compare=records[:3]))
        self.assertIsNone(by_what(half, "without:")["met"])
        with_it = by_what(half, "with free page reporting")
        self.assertEqual((with_it["value"], with_it["met"]), ("1.10 ×; 1 of 2 variants measured", None))
        worse = figures.targets(results(compare=[*records[:2], records[2], record("aerostat", seconds=9.0)]))
        self.assertFalse(by_what(worse, "with free page reporting")["met"])

    def test_not_finished_is_infinitely_slow(self):
        records = [record("unlimited"), record("static", seconds=None), record("static", seconds=None), record("static")]
        row = figures.comparison(results(compare=records))[0]
        self.assertTrue(math.isinf(row["cells"]["static"]["summary"]["median"]))
        self.assertEqual(tables.cell_text(row["cells"]["static"]), "killed 2/3")

    def test_variants_are_compared_among_themselves(self):
        records = [record("unlimited", seconds=1.0), record("unlimited", seconds=4.0, swap=False),
                   record("aerostat", seconds=4.0, swap=False)]
        rows = figures.comparison(results(compare=records))
        self.assertEqual([row["variant"] for row in rows], ["swap", "no swap"])
        self.assertEqual(rows[1]["cells"]["aerostat"]["slowdowns"], [1.0])

    def test_work_is_compared_turn_by_turn(self):
        records = rotation("unlimited", [100, 200]) + rotation("aerostat", [95, 190]) + rotation("static", [50, 0])
        row = figures.comparison(results(compare=records))[0]
        self.assertEqual([round(value, 4) for value in row["cells"]["aerostat"]["slowdowns"]], [1.0526, 1.0526])
        self.assertEqual(row["cells"]["static"]["slowdowns"], [2.0, math.inf])
        found = by_what(figures.targets(results(compare=records)), "rotating")
        self.assertEqual((found["met"], found["value"]), (True, "95.0%"))

    def test_one_kill_or_one_page_swapped_misses_the_target(self):
        for more, met in (({}, True), ({"oom_kills": 1}, False), ({"swap_out_bytes": 4096}, False)):
            found = by_what(figures.targets(results(compare=[record("aerostat", **more)])), "all scenarios")
            self.assertEqual(found["met"], met, more)

    def test_grants(self):
        def burst(us, larger=True):
            return {"first_grant_us": us, "larger_than_spare": larger}

        def met(*bursts):
            return by_what(figures.targets(results(latency={"aerostat": list(bursts)})), "first grant")
        self.assertTrue(met(burst(40_000), burst(60_000), burst(150_000))["met"])
        self.assertFalse(met(burst(61_000), burst(61_000))["met"], "p50")
        self.assertFalse(met(burst(10_000), burst(10_000), burst(151_000))["met"], "p99")
        self.assertFalse(met(burst(10_000), burst(10_000), burst(None))["met"], "one that got none")
        self.assertIn("p99 never", met(burst(10_000), burst(10_000), burst(None))["value"])
        self.assertTrue(met(burst(10_000), burst(None, larger=False))["met"], "it needed none")
        self.assertIsNone(met()["met"])

    def test_where_the_milliseconds_go(self):
        bursts = [{"larger_than_spare": True, "decided_us": 30_000, "first_grant_us": 31_000, "answered_us": 35_000},
                  {"larger_than_spare": True, "decided_us": None, "first_grant_us": None, "answered_us": None}]
        parts = figures.grant_parts_ms(results(latency={"aerostat": bursts}), "aerostat")
        self.assertEqual([ms for _, ms in parts], [30.0, 1.0, 4.0])
        self.assertEqual(figures.grant_parts_ms(results(), "aerostat"), [])

    def test_a_donor_must_have_given_half(self):
        donor = {"lost_share": 0.05, "given_bytes": 100 * MIB, "idle_bytes": 200 * MIB, "seconds": 4.0}
        self.assertTrue(by_what(figures.targets(results(donor=[donor])), "donor's work")["met"])
        self.assertFalse(by_what(figures.targets(results(donor=[{**donor, "given_bytes": 10 * MIB}])), "donor's work")["met"])
        self.assertFalse(by_what(figures.targets(results(donor=[{**donor, "lost_share": 0.2}])), "donor's work")["met"])

    def test_steady_and_stopped(self):
        steady = {"guests": 8, "seconds": 60.0, "beats": 60, "daemon_core_share": 0.006, "daemon_resident_bytes": 12 * MIB,
                  "asking_core_share": -0.001, "turns": [{"asked": 0.010, "unasked": 0.011}]}
        stopped = {"base_seconds": 2.0, "bursts": [{"seconds": 2.2}, {"seconds": 2.0}], "first_grants_us": [50_000, 90_000],
                   "stopped_after_us": [0, 0],
                   "oom_kills": 0, "swap_out_bytes": 0}
        found = figures.targets(results(steady=steady, stopped=[stopped]))
        self.assertEqual([by_what(found, words)["met"] for words in ("processor", "resident", "being asked", "stopped")],
                         [False, True, True, True])
        late = {**stopped, "first_grants_us": [50_000, None]}
        self.assertFalse(by_what(figures.targets(results(stopped=[late])), "stopped")["met"])
        # Sent before the donor was stopped.
        early = {**stopped, "first_grants_us": [155_000, 90_000], "stopped_after_us": [400_000, 0]}
        self.assertTrue(by_what(figures.targets(results(stopped=[early])), "stopped")["met"])
        self.assertFalse(by_what(figures.targets(results(stopped=[{**early, "stopped_after_us": [150_000, 0]}])), "stopped")["met"])
        slow = {**stopped, "bursts": [{"seconds": 2.4}, {"seconds": 2.0}]}
        self.assertTrue(by_what(figures.targets(results(stopped=[stopped, slow, stopped])), "stopped")["met"])
        self.assertFalse(by_what(figures.targets(results(stopped=[stopped, slow, slow])), "stopped")["met"])
        for unfinished in ([{"seconds": None}, {"seconds": 2.0}], [{"seconds": 2.0}, {"seconds": None}]):
            found = by_what(figures.targets(results(stopped=[stopped, {**stopped, "bursts": unfinished}, stopped])), "stopped")
            self.assertFalse(found["met"])
            self.assertIn("1 bursts not done", found["value"])

    def test_sessions_that_began_at_rest(self):
        records = [record("unlimited", round=0, rested=None), record("aerostat", round=0, rested=True),
                   record("aerostat", round=0, rested=None), record("aerostat", round=1, rested=False),
                   record("aerostat", round=1, rested=True, swap=False)]
        self.assertEqual(figures.sessions_rested(results(compare=records)), [True, False, True])
        self.assertIn("had come to rest before 2 of its 3 sessions", tables.report(results(compare=records)))
        self.assertNotIn("sessions", tables.report(results()))

    def test_nothing_measured_meets_nothing(self):
        self.assertTrue(all(one["met"] is None for one in figures.targets(results())))


class Shown(unittest.TestCase):
    def setUp(self):
        grants = [{"first_grant_us": us, "larger_than_spare": True} for us in (20_000, 45_000, 140_000)]
        self.results = results(
            compare=[record("unlimited"), record("aerostat", seconds=2.1), record("static", seconds=None), record("static", seconds=9.0),
                     *rotation("unlimited", [10, 20]), *rotation("aerostat", [10, 19]), *rotation("static", [5, 0])],
            latency={"aerostat": grants}, fresh_page_us=[31.0, 0.7, 1.2], notes=["something was left out"])

    def test_tables_are_whole(self):
        text = tables.report(self.results)
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            self.assertEqual(len({line.count("|") for line in block.splitlines()}), 1, block)
            self.assertEqual(len({len(line) for line in block.splitlines()}), 1, block)
        for words in ("1.05", "killed 1/2", "45 ms", "Note: something was left out", "60% of what they were sold", "1.2 us (0.7 to 31.0)"):
            self.assertIn(words, text)

    def test_the_picture_is_svg_with_every_measurement(self):
        tree = xml.etree.ElementTree.fromstring(picture.picture(self.results))
        self.assertTrue(tree.tag.endswith("}svg"))
        dots = [one for one in tree.iter() if one.tag.endswith("}circle") and float(one.get("r")) < 5]
        # Finished runs (1 + 1 step bursts, 2 + 1 turns; unlimited is the line itself) and the three grants.
        self.assertEqual(len(dots), 5 + 3)
        words = " ".join("".join(one.itertext()) for one in tree.iter() if one.tag.endswith("}text"))
        for expected in ("1 of 2", "p99 140 ms", "2 x <processor> & more"):
            self.assertIn(expected, words)
        width = float(tree.get("width"))
        self.assertTrue(all(0 <= float(one.get("cx")) <= width for one in dots))

    def test_a_picture_of_nothing(self):
        xml.etree.ElementTree.fromstring(picture.picture(results()))


class Program(unittest.TestCase):
    def test_figures_go_between_the_marks(self):
        import relief
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "performance.md")
            path.write_text(f"before\n{relief.BEGIN}\nold\n{relief.END}\nafter\n", encoding="utf-8")
            for _ in range(2):
                relief.put_into(path, "new\n", "performance.svg")
            text = path.read_text(encoding="utf-8")
        self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"), text)
        self.assertEqual((text.count("new"), text.count("old"), text.count("performance.svg")), (1, 0, 1))

    def test_bad_options_are_refused(self):
        import relief
        for arguments in (["--only", "dance"], ["--manager", "proxmox"], ["--manager", "=x"], ["--quick", "--full"], ["--seed", "x"]):
            with self.assertRaises(SystemExit, msg=arguments), open("/dev/null", "w", encoding="utf-8") as null:
                errors, sys.stderr = sys.stderr, null
                try:
                    relief.parse(arguments)
                finally:
                    sys.stderr = errors

    def test_infinity_becomes_json(self):
        import relief
        self.assertEqual(relief.plain({"a": [math.inf, 1.5]}), {"a": [None, 1.5]})


class Managers(unittest.TestCase):
    def guest(self, name, balloon, free=300, resident=None, maximum=768):
        return {"name": name, "balloon_bytes": balloon * MIB, "maximum_bytes": maximum * MIB, "free_bytes": free * MIB,
                "resident_bytes": (resident if resident is not None else balloon) * MIB}

    def test_proxmox(self):
        sizes = load(BENCH / "managers" / "proxmox").sizes
        idle, short = self.guest("idle", 400), self.guest("short", 400, free=10)
        grown = sizes([idle, short], 2000 * MIB, 128 * MIB)
        self.assertEqual((grown["idle"] // MIB, grown["short"] // MIB), (400, 500), "100 MiB a round, to who is under pressure")
        shrunk = sizes([idle, short], 900 * MIB, 128 * MIB)
        self.assertEqual((shrunk["idle"] // MIB, shrunk["short"] // MIB), (320, 400), "from who is not")
        self.assertEqual(sizes([idle, short], 1005 * MIB, 128 * MIB)["short"], 400 * MIB, "less than 10 MiB is left alone")

    def test_mom(self):
        size = load(BENCH / "managers" / "mom").next_size
        self.assertEqual(size(400 * MIB, 768 * MIB, 100 * MIB, 0.3, 128 * MIB), 420 * MIB)
        self.assertEqual(size(400 * MIB, 768 * MIB, 100 * MIB, 0.1, 128 * MIB), 380 * MIB)
        self.assertIsNone(size(768 * MIB, 768 * MIB, 100 * MIB, 0.3, 128 * MIB), "at its maximum")


if __name__ == "__main__":
    unittest.main()
