"""Every shipped scenario through aerostat-sim, as somebody would run it: what Aerostat promises holds in all of them.

  test_scenarios.py AEROSTAT_SIM
"""

import json
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SIM = sys.argv.pop(1)
SCENARIOS = sorted((ROOT / "scenarios").glob("*.conf"))
GUEST_MODELS = {"ideal", "slow", "busy", "stuck", "intermittent", "silent", "stale", "rebooting", "liar-high", "liar-low", "deaf",
                "thrashing", "cache-heavy"}
# More is wanted there than the pool has: nobody can do all the work, and the least of it that is expected.
WANTS_TOO_MUCH = {"everyone-bursts": 74, "thrashing-guest": 90, "weights": 54}
# Where another policy that keeps to the pool stalls less; docs/policy.md has the reason. How much more is allowed, in s.
STALLS_MORE = {"everyone-bursts": 5, "liar-low": 1, "weights": 70}
LATE = [word for pair in ("late-replies=100", "late-by=4s", "lost-replies=50", "restart-daemon=23s, 41s, 67s", "restart-takes=300ms")
        for word in ("--set", f"faults.{pair}")]
PROMISES_TWICE = {"proxmox", "mom"}


def simulate(path, *arguments):
    done = subprocess.run([SIM, str(path), "--json", *arguments], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return {one["policy"]: one for one in json.loads(done.stdout)["policies"]}


class Shipped(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A hundred servers under the other policies take long with sanitizers, and are compared by the benchmark.
        cls.runs = {path.stem: simulate(path, "--policy", "aerostat" if path.stem == "hundred-servers" else "all")
                    for path in SCENARIOS}

    def each(self):
        for name, policies in self.runs.items():
            with self.subTest(scenario=name):
                yield name, policies, policies["aerostat"]

    def test_no_byte_is_promised_twice(self):
        for _, _, ours in self.each():
            self.assertEqual(ours["overcommitted_byte_s"], 0)

    def test_nobody_is_killed(self):
        for _, _, ours in self.each():
            self.assertEqual(ours["oom_kills"], 0)

    def test_work_is_that_of_the_oracle_where_demand_fits(self):
        for name, _, ours in self.each():
            self.assertGreaterEqual(ours["work_percent"], WANTS_TOO_MUCH.get(name, 95))

    def test_nobody_who_keeps_to_the_pool_stalls_less(self):
        for name, policies, ours in self.each():
            for other in policies.values():
                if other["policy"] not in PROMISES_TWICE:
                    self.assertLessEqual(ours["stall_s"], other["stall_s"] + STALLS_MORE.get(name, 0) + 1e-6, other["policy"])

    def test_the_measure_can_fail(self):
        """Others promise twice and get services killed in the same scenarios: the zeros above are no property of the scenarios."""
        others = [one for policies in self.runs.values() for name, one in policies.items() if name != "aerostat"]
        self.assertGreater(sum(one["overcommitted_byte_s"] > 0 for one in others), 10)
        self.assertGreater(sum(one["oom_kills"] > 0 for one in others), 10)

    def test_every_model_of_a_guest_has_a_scenario(self):
        lines = [line.split("=") for path in SCENARIOS for line in path.read_text(encoding="utf-8").splitlines()]
        shown = {"ideal"} | {words[1].strip() for words in lines if words[0].strip() == "model"}
        self.assertEqual(shown, GUEST_MODELS)

    def test_what_a_killed_daemon_asked_for_is_promised_to_nobody_else(self):
        """Requests are carried out seconds after the daemon that sent them was killed."""
        for name in ("everyone-bursts", "rotating-5s", "weights"):
            for seed in range(1, 21):
                with self.subTest(scenario=name, seed=seed):
                    ours = simulate(ROOT / "scenarios" / f"{name}.conf", "--policy", "aerostat", "--set", f"seed={seed}", *LATE)["aerostat"]
                    self.assertEqual(ours["overcommitted_byte_s"], 0)

    def test_without_paying_first_bytes_are_promised_twice(self):
        self.assertGreater(simulate(ROOT / "scenarios" / "rotating-5s.conf", "--policy", "aerostat", "--set",
                                    "policy.disabled_rules=1")["aerostat"]["overcommitted_byte_s"], 0)


if __name__ == "__main__":
    unittest.main()
