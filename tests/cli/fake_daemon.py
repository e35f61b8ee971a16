#!/usr/bin/env python3
"""A stand-in for aerostatd: speaks docs/control.md on a Unix socket, with figures that never change unless told to.

    fake_daemon.py SOCKET [--servers N] [--state STATE] [--mode MODE] [--live]

--live moves memory between the servers and sends events; without it `events` sends one of each and then nothing, so
that tests always see the same. Prints "ready" when it listens.
"""
import argparse
import json
import os
import random
import selectors
import socket
import sys
import time

MIB = 1 << 20
GIB = 1 << 30
T0_US = 1_767_225_600_000_000  # 2026-01-01 00:00:00 UTC


def server(name, booked, share, used, **more):
    balloon = booked * share // 100
    data = {
        "name": name, "id": "id-" + name, "kind": "kvm", "state": "running", "maximum_bytes": booked,
        "minimum_bytes": booked // 4, "weight": 100, "balloon_bytes": balloon, "target_bytes": balloon,
        "used_bytes": used, "resident_bytes": min(balloon, used + 200 * MIB), "demand_bytes": used * 6 // 5,
        "committed_bytes": balloon + 96 * MIB, "ballooning": {"state": "on", "available": True, "reason": None},
        "driver": True, "agent": False, "stalled_us": 0, "allocation_bytes": balloon, "floor_bytes": booked // 4,
        "short_bytes": 0, "overhead_bytes": 96 * MIB, "minimum_own": False, "weight_own": False, "fixed": None,
        "hold": None, "waiting": "settled", "statistics_age_us": 412000,
    }
    data.update(more)
    return data


def named_servers():
    unknown = {key: None for key in ("balloon_bytes", "target_bytes", "used_bytes", "resident_bytes", "demand_bytes",
                                     "statistics_age_us", "short_bytes", "allocation_bytes", "floor_bytes")}
    return [
        server("web-1", 4 * GIB, 40, 1200 * MIB, short_bytes=300 * MIB, waiting="no-room", demand_bytes=1900 * MIB,
               target_bytes=1800 * MIB, stalled_us=1_250_000),
        server("db-1", 8 * GIB, 72, 3900 * MIB, weight=200, weight_own=True),
        server("cache", 2 * GIB, 100, 700 * MIB, hold="resting", waiting="held"),
        server("mail", 2 * GIB, 50, 512 * MIB, minimum_bytes=700 * MIB, minimum_own=True),
        server("büro-東京", 3 * GIB, 60, 900 * MIB),
        server("fixed-vm", 4 * GIB, 100, 2 * GIB, fixed="device-assignment",
               ballooning={"state": "unavailable", "available": False, "reason": "device-assignment"}),
        server("evil\x1b[2J\u202ename\n", 1 * GIB, 80, 300 * MIB),
        server("new-one", 4 * GIB, 100, 0, state="starting", hold="starting", **unknown),
        server("old-box", 2 * GIB, 0, 0, state="off", committed_bytes=0, **unknown),
    ]


def many_servers(n):
    chance = random.Random(7)
    return [server(f"vm-{i:03}", chance.choice((1, 2, 4, 8)) * GIB, chance.randint(40, 100),
                   chance.randint(100, 900) * MIB, weight=chance.choice((50, 100, 200))) for i in range(n)]


def decision(name, before, after, text, i=0, **more):
    data = {"time_us": T0_US + i * 1_000_000, "server": name, "move": "grant-need" if after > before else "reclaim-calm",
            "from_bytes": before, "to_bytes": after, "used_bytes": before - 100 * MIB, "need_bytes": after,
            "allocation_bytes": after, "text": text, "performed": True, "error": None, "sources": []}
    data.update(more)
    return data


class RpcError(Exception):
    def __init__(self, code, message, kind):
        super().__init__(message)
        self.code, self.message, self.kind = code, message, kind


class Daemon:
    def __init__(self, args):
        self.args = args
        self.mode = args.mode
        self.servers = many_servers(args.servers) if args.servers is not None else named_servers()
        self.beats = 10482
        self.chance = random.Random(1)
        self.decisions = [
            decision("web-1", 1500 * MIB, 1800 * MIB, "web-1 gets 300 MiB: it uses 1.2 GiB of 1.5 GiB and grows.", 3,
                     sources=[{"from": "db-1", "bytes": 200 * MIB}, {"from": "free", "bytes": 100 * MIB}]),
            decision("db-1", 6100 * MIB, 5900 * MIB, "db-1 gives 200 MiB, idle for 40 s, because web-1 is short.", 2,
                     move="reclaim-urgent"),
            decision("mail", 1100 * MIB, 1024 * MIB, "mail gives 76 MiB that it leaves idle.", 1, performed=False,
                     error="set balloon: the monitor does not answer"),
        ] if self.servers else []

    def host(self):
        pool = 24 * GIB
        committed = sum(s["committed_bytes"] or 0 for s in self.servers)
        if self.args.servers is not None:
            pool = committed + 8 * GIB
        over = 1228 * MIB if self.args.state == "overcommitted" else 0
        if over:
            pool = committed - over
        free = max(pool - committed, 0)
        problems = []
        if self.args.state == "overcommitted":
            problems.append("Someone started cache outside Aerostat, which put the servers 1.2 GiB above the pool; "
                            "it is being taken back from mail and db-1.")
        return {
            "version": "0.1.0", "mode": self.mode, "pool_bytes": pool, "committed_bytes": committed,
            "slack_bytes": min(free, pool // 20), "memory_bytes": 32 * GIB, "available_bytes": 9 * GIB,
            "pressure_some_avg10": 0.12, "servers": len(self.servers), "beats": self.beats,
            "relief_p50_us": 120_000 if self.args.state == "ok" else None,
            "relief_p99_us": 480_000 if self.args.state == "ok" else None,
            "free_bytes": free, "over_bytes": over, "fixed_bytes": 4 * GIB,
            "short_bytes": sum(s["short_bytes"] or 0 for s in self.servers), "slack_wanted_bytes": pool // 20,
            "overhead_bytes": 96 * MIB * len(self.servers), "reclaiming_bytes": 200 * MIB, "reserved_bytes": 0,
            "reboot_safe_bytes": 2 * GIB, "committed_peak_bytes": committed, "over_seconds": 0,
            "state": self.args.state, "problems": problems,
            "backends": [{"name": "libvirt", "uri": "qemu:///system", "connected": self.args.state != "disconnected",
                          "problem": "libvirtd does not answer" if self.args.state == "disconnected" else None}],
            "uptime_us": 273_930_000_000,
        }

    def find(self, params):
        name = params.get("name")
        if not isinstance(name, str):
            raise RpcError(-32602, "name: a string is needed", "invalid")
        for entry in self.servers:
            if entry["name"] == name:
                return entry
        raise RpcError(-32002, f"server {name}: there is none of this name", "not-found")

    def call(self, method, params):
        handler = getattr(self, "do_" + method, None)
        if handler is None:
            raise RpcError(-32601, f'there is no method "{method}"', "not-found")
        return handler(params)

    def do_status(self, params):
        return self.host()

    def do_list(self, params):
        return {"servers": sorted(self.servers, key=lambda s: s["name"])}

    def do_show(self, params):
        entry = dict(self.find(params))
        fixed = entry["fixed"] is not None
        entry["details"] = {
            "fixed_sentence": "A device is passed through to it, so its memory cannot be taken." if fixed else None,
            "remedy": "Remove the passed-through device to let it share memory." if fixed else None,
            "hold_sentence": None, "lent": [{"to": "web-1", "bytes": 200 * MIB}],
            "deflates_on_oom": True, "reports_free_pages": False, "pid": 4242}
        return entry

    def do_explain(self, params):
        entry = self.find(params)
        return {"name": entry["name"], "summary": f"{entry['name']} has 1.6 GiB of the 4 GiB it booked and needs "
                "300 MiB more, which db-1 is giving back right now.",
                "sentences": ["It uses 1.2 GiB and has been growing by 40 MiB/s for 6 s.",
                              "The pool has nothing free; db-1 and mail hold 1.1 GiB they leave idle.",
                              "At the present speed it has what it needs within 0.4 s."],
                "server": entry, "decisions": [d for d in self.decisions if d["server"] == entry["name"]]}

    def do_mode(self, params):
        before = self.mode
        self.mode = params.get("mode", before)
        return {"mode": self.mode, "before": before}

    def do_set(self, params):
        entry = self.find(params)
        for key, own, default in (("minimum_bytes", "minimum_own", entry["maximum_bytes"] // 4),
                                  ("weight", "weight_own", 100)):
            if key not in params:
                continue
            value = params[key]
            if key == "minimum_bytes" and value is not None and value > entry["maximum_bytes"]:
                raise RpcError(-32602, f"minimum_bytes: {value} is more than {entry['name']} booked "
                               f"({entry['maximum_bytes']})", "invalid")
            entry[key] = default if value is None else value
            entry[own] = value is not None
        return entry

    def do_user_password(self, params):
        return {"name": params["name"], "role": "owner", "servers": 1, "tokens": 0 if params["revoke_tokens"] else 3}

    def do_journal(self, params):
        chosen = self.decisions
        if "name" in params:
            name = self.find(params)["name"]
            chosen = [d for d in chosen if d["server"] == name]
        return {"decisions": chosen[:params.get("limit", 20)],
                "flows": [{"from": "db-1", "to": "web-1", "bytes": 200 * MIB},
                          {"from": "free", "to": "web-1", "bytes": 100 * MIB}] if chosen else []}

    def do_events(self, params):
        return {"subscribed": True}

    def do_doctor(self, params):
        if "name" in params:
            return {"findings": [{"name": self.find(params)["name"], "severity": "ok",
                                  "what": "Nothing keeps it from sharing memory.", "fix": None}]}
        return {"findings": [
            {"name": "evil\x1b[2J", "severity": "problem", "what": "Nothing answers.", "fix": "Load virtio_balloon."},
            {"name": None, "severity": "warning", "what": "No pressure.", "fix": "Boot with psi=1."},
            {"name": None, "severity": "note", "what": "No swap.", "fix": None}]}

    def do_record(self, params):
        return {"recording": True}

    def first_lines(self):
        """A recording of two beats, three of them lost in between."""
        facts = {s["name"]: {"max": s["maximum_bytes"], "min": s["minimum_bytes"], "weight": s["weight"]}
                 for s in self.servers[:2]}
        return [{"aerostat_recording": 1, "version": "0.1.0", "started": T0_US // 10**6, "mode": self.mode,
                 "pool_bytes": 24 * GIB, "slack_bytes": GIB}, {"t": 0, "servers": facts},
                {"t": 2_000_000, "lost": 3, "servers": facts}]

    def first_events(self):
        events = [("host", self.host())]
        if self.servers:
            events += [("server", self.servers[0])]
        if self.decisions:
            events += [("decision", self.decisions[0])]
        return events + [("lost", {"events": 12}), ("gone", {"name": "old-box"})]

    def beat(self):
        """One beat of --live: two servers swap some memory."""
        self.beats += 1
        running = [s for s in self.servers if s["state"] == "running" and s["fixed"] is None and s["used_bytes"]]
        events = []
        if len(running) > 1 and self.beats % 5 == 0:
            giver, taker = self.chance.sample(running, 2)
            room = min(giver["balloon_bytes"] - giver["used_bytes"], taker["maximum_bytes"] - taker["balloon_bytes"])
            step = min(max(room // 2, 0), 256 * MIB)
            if step > MIB:
                before = taker["balloon_bytes"]
                for entry, sign in ((giver, -1), (taker, 1)):
                    for key in ("balloon_bytes", "target_bytes", "committed_bytes"):
                        entry[key] += sign * step
                taker["used_bytes"] += step // 2
                events += [("server", giver), ("server", taker)]
                taken = decision(taker["name"], before, taker["balloon_bytes"],
                                 f"{taker['name']} gets {step // MIB} MiB that {giver['name']} left idle.",
                                 sources=[{"from": giver["name"], "bytes": step}])
                taken["time_us"] = time.time_ns() // 1000
                self.decisions.insert(0, taken)
                events.append(("decision", taken))
        return [("host", self.host())] + events


def dump(value):
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def answer(daemon, line):
    try:
        request = json.loads(line)
    except ValueError:
        return None, dump({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "not JSON"}})
    try:
        result = daemon.call(request["method"], request.get("params", {}))
        return request["method"], dump({"jsonrpc": "2.0", "id": request["id"], "result": result})
    except RpcError as error:
        return None, dump({"jsonrpc": "2.0", "id": request["id"], "error": {
            "code": error.code, "message": error.message, "data": {"kind": error.kind}}})


def notification(kind, data):
    return dump({"jsonrpc": "2.0", "method": "event", "params": {"type": kind, "data": data}})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--servers", type=int)
    parser.add_argument("--state", default="ok")
    parser.add_argument("--mode", default="manage")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--close-after-events", action="store_true")
    args = parser.parse_args()
    daemon = Daemon(args)

    if os.path.exists(args.socket):
        os.unlink(args.socket)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(args.socket)
    listener.listen()
    print("ready", flush=True)

    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    buffers, subscribed = {}, set()
    next_beat = time.monotonic()

    def drop(client):
        selector.unregister(client)
        buffers.pop(client)
        subscribed.discard(client)
        client.close()

    def serve(client):
        data = client.recv(65536)
        if not data:
            drop(client)
            return
        buffers[client] += data
        while b"\n" in buffers[client]:
            line, buffers[client] = buffers[client].split(b"\n", 1)
            method, text = answer(daemon, line)
            client.sendall(text)
            if method == "events":
                subscribed.add(client)
                if not args.live:
                    client.sendall(b"".join(notification(*event) for event in daemon.first_events()))
            if method == "record":
                client.sendall(b"".join(dump({"jsonrpc": "2.0", "method": "record", "params": {"line": json.dumps(line)}})
                                        for line in daemon.first_lines()))
            if method in ("events", "record") and args.close_after_events:
                drop(client)
                return

    while True:
        for key, _ in selector.select(0.2 if args.live else None):
            if key.fileobj is listener:
                client, _ = listener.accept()
                buffers[client] = b""
                selector.register(client, selectors.EVENT_READ)
                continue
            try:
                serve(key.fileobj)
            except OSError:
                drop(key.fileobj)
        if args.live and time.monotonic() >= next_beat:
            next_beat = time.monotonic() + 0.2
            text = b"".join(notification(*event) for event in daemon.beat())
            for client in list(subscribed):
                try:
                    client.sendall(text)
                except OSError:
                    drop(client)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
