"""aerostat-web before a real daemon, as browsers, programs and strangers use it. The hypervisor is libvirt's test driver."""

import concurrent.futures
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from contextlib import closing
from pathlib import Path

import e2e
from aerodaemon import Daemon
from aeroweb import Web, add_account, free_port

ROOT = Path(__file__).resolve().parents[2]
API = "/api/v1"
HOST = """\
<node>
<domain type='test'><name>web-1</name><uuid>00000000-0000-0000-0000-000000000001</uuid><memory unit='KiB'>524288</memory>
<vcpu>1</vcpu><os><type>hvm</type></os><devices><memballoon model='virtio'/></devices></domain>
<domain type='test'><name>shop-1</name><uuid>00000000-0000-0000-0000-000000000002</uuid><memory unit='KiB'>524288</memory>
<vcpu>1</vcpu><os><type>hvm</type></os><devices><memballoon model='virtio'/></devices></domain>
</node>
"""
FAILED_LOGINS = 1000
# A request that others must not hold up; nothing here is expected to take a tenth of it.
PATIENCE_S = 10


def start(case, mode="observe", **more):
    folder = Path(tempfile.mkdtemp(prefix="aeroweb-"))
    case.addClassCleanup(shutil.rmtree, folder, True)
    (folder / "host.xml").write_text(HOST, encoding="utf-8")
    case.daemon = Daemon(f"test://{folder}/host.xml", "2GiB", mode, minimum="64MiB", **more)
    case.addClassCleanup(case.daemon.close)
    case.web = Web(case.daemon)
    case.addClassCleanup(lambda: case.web.close())
    case.daemon.wait(lambda: len(case.daemon.servers()) == 2, 10, "both servers")
    case.passwords = {"alice": add_account(case.daemon, "alice", "owner"),
                      "root": add_account(case.daemon, "root", "operator")}
    case.daemon.cli("own", "web-1", "alice")


class Interface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        start(cls)
        cls.operator = cls.web.log_in("root", cls.passwords["root"])
        cls.owner = cls.web.log_in("alice", cls.passwords["alice"])

    def ask(self, method, path, body=None, headers=None, **more):
        return self.web.ask(method, path, body, headers, **more)

    def refused(self, status, kind, method, path, body=None, headers=None):
        """A problem document of this status and kind; its detail."""
        got, answer_headers, problem = self.ask(method, path, body, headers)
        self.assertEqual(got, status, problem)
        self.assertEqual(answer_headers.get_content_type(), "application/problem+json")
        self.assertEqual((problem["status"], problem["kind"]), (status, kind), problem)
        self.assertTrue(problem["title"] and problem["detail"])
        return problem["detail"]

    # ---- who asks

    def test_a_session(self):
        status, headers, body = self.ask("POST", f"{API}/session", {"user": "alice", "password": self.passwords["alice"]})
        self.assertEqual((status, body["user"], body["role"]), (201, "alice", "owner"))
        self.assertNotIn("session", body)
        cookie = headers["Set-Cookie"]
        for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(word, cookie)
        self.assertNotIn("Secure", cookie)
        own = {"Cookie": cookie.split(";")[0]}
        self.assertEqual(self.ask("GET", f"{API}/session", headers=own)[2]["user"], "alice")
        self.assertEqual(self.ask("DELETE", f"{API}/session", headers=own)[0], 204)
        self.refused(401, "unauthenticated", "GET", f"{API}/session", headers=own)

    def test_an_expired_session(self):
        own = self.web.log_in("alice", self.passwords["alice"])
        database = self.daemon.dir / "store" / "aerostat.db"
        self.daemon.stop()
        try:
            with closing(sqlite3.connect(database)) as store, store:
                store.execute("UPDATE sessions SET created_us = 1, used_us = 1")
        finally:
            self.daemon.start()
        self.daemon.wait(lambda: self.ask("GET", "/healthz")[0] == 200, 15, "the web is connected again")
        self.refused(401, "unauthenticated", "GET", f"{API}/servers", headers=own)
        type(self).operator = self.web.log_in("root", self.passwords["root"])
        type(self).owner = self.web.log_in("alice", self.passwords["alice"])

    def test_nobody(self):
        self.refused(401, "unauthenticated", "GET", f"{API}/servers")
        self.refused(401, "unauthenticated", "GET", f"{API}/servers", headers={"Cookie": "aerostat_session=made-up"})
        self.refused(401, "unauthenticated", "GET", f"{API}/servers", headers={"Authorization": "Bearer made-up"})
        self.refused(401, "unauthenticated", "GET", f"{API}/events")
        self.refused(401, "unauthenticated", "GET", "/metrics")

    def test_a_wrong_password_says_nothing(self):
        one = self.refused(401, "unauthenticated", "POST", f"{API}/session", {"user": "alice", "password": "wrong wrong"})
        two = self.refused(401, "unauthenticated", "POST", f"{API}/session", {"user": "nobody", "password": "wrong wrong"})
        self.assertEqual(one, two)

    def test_other_sites(self):
        settings = f"{API}/servers/web-1/settings"
        for more in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                     {"Origin": "null"}):
            self.refused(403, "cross-site", "PATCH", settings, {"ballooning_enabled": False}, {**self.owner, **more})
            self.refused(403, "cross-site", "POST", f"{API}/session", {"user": "alice", "password": "x"}, more)
        # A form has neither the header nor the type.
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=PATIENCE_S)
        connection.request("POST", f"{API}/servers/web-1/actions/stop", b"", self.owner)
        self.assertEqual(connection.getresponse().status, 403)
        connection.close()
        self.assertEqual(self.daemon.servers()["web-1"]["ballooning"]["state"],
                         self.ask("GET", f"{API}/servers/web-1", headers=self.owner)[2]["ballooning"]["state"])

    def test_tokens(self):
        status, _, made = self.ask("POST", f"{API}/tokens", {"label": "test"}, self.owner)
        self.assertEqual(status, 201)
        bearer = {"Authorization": f"Bearer {made['token']}"}
        servers = self.ask("GET", f"{API}/servers", headers=bearer)[2]["servers"]
        self.assertEqual([server["name"] for server in servers], ["web-1"])
        # A program needs no proof of origin.
        self.assertEqual(self.ask("PATCH", f"{API}/servers/web-1/settings", {"ballooning_enabled": True},
                                  {**bearer, "Origin": "https://elsewhere.example"})[0], 200)
        self.assertEqual(self.ask("DELETE", f"{API}/tokens/{made['id']}", headers=self.owner)[0], 204)
        self.refused(401, "unauthenticated", "GET", f"{API}/servers", headers=bearer)

    def test_foreign_and_unknown_are_the_same(self):
        texts = set()
        for name in ("shop-1", "nobody-1"):
            for method, path, body in (("GET", "", None), ("GET", "/history", None), ("GET", "/decisions", None),
                                       ("GET", "/explanation", None), ("POST", "/actions/stop", None),
                                       ("PATCH", "/settings", {"ballooning_enabled": False}),
                                       ("POST", "/reinstall", {"image": "x", "confirm": name})):
                texts.add(self.refused(404, "not-found", method, f"{API}/servers/{name}{path}", body, self.owner)
                          .replace(name, "NAME"))
        self.assertEqual(len(texts), 1, texts)
        for path in ("users", "reservations", "host/history"):
            self.refused(403, "forbidden", "GET", f"{API}/{path}", headers=self.owner)
        self.refused(403, "forbidden", "PATCH", f"{API}/servers/web-1/settings", {"weight": 1000}, self.owner)

    # ---- what is asked

    def test_malformed(self):
        settings = f"{API}/servers/web-1/settings"
        for body, words in (("{", "body"), ("[]", "object"), ('{"weight":"1"}', "weight"), ('{"colour":1}', "colour"),
                            ('{"weight":-1}', "weight"), ('{"weight":1e400}', "body"), ('{"weight":9223372036854775808}', "")):
            status, headers, problem = self.raw("PATCH", settings, body.encode(), {**self.operator, "Content-Type": "application/json"})
            self.assertEqual((status, headers.get_content_type()), (400, "application/problem+json"), (body, problem))
            self.assertIn(words, problem["detail"])
        status, _, problem = self.raw("PATCH", settings, b"weight=1",
                                      {**self.operator, "Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(status, 415, problem)

    def raw(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, {"X-Requested-With": "aerostat", **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read())
        finally:
            connection.close()

    def test_paths_methods_and_queries(self):
        self.refused(404, "not-found", "GET", f"{API}/nothing", headers=self.operator)
        self.refused(404, "not-found", "GET", f"{API}/servers/a/b/c/d/e/f/g", headers=self.operator)
        status, headers, _ = self.ask("PUT", f"{API}/servers", headers=self.operator)
        self.assertEqual((status, headers["Allow"]), (405, "GET, POST"))
        self.refused(400, "invalid", "GET", f"{API}/audit?limit=many", headers=self.operator)
        self.refused(400, "invalid", "GET", f"{API}/audit?colour=red", headers=self.operator)
        for name in ("..", "%2e%2e", "a%2fb", "a%252fb", "%2525", "%00", "%ff", "x" * 300, "%3Cscript%3E", "'%20OR%201=1"):
            status, headers, problem = self.ask("GET", f"{API}/servers/{name}", headers=self.operator)
            self.assertIn(status, (400, 404), (name, problem))
            self.assertEqual(headers.get_content_type(), "application/problem+json")
            self.assertNotIn("<script>", json.dumps(problem["title"]))

    def test_oversized(self):
        status, _, problem = self.raw("POST", f"{API}/session", b'{"user":"' + b"x" * 100_000 + b'"}',
                                      {"Content-Type": "application/json"})
        self.assertEqual(status, 413, problem)
        with socket.create_connection(("127.0.0.1", self.web.port), PATIENCE_S) as connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"y" * 200_000)
            answer = self.all_of(connection)
        self.assertTrue(answer == b"" or re.match(rb"HTTP/1\.1 4\d\d", answer), answer[:80])
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.web.port), PATIENCE_S) as connection:
                connection.settimeout(PATIENCE_S)
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                self.all_of(connection)
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)

    @staticmethod
    def all_of(connection):
        data = b""
        try:
            while piece := connection.recv(65536):
                data += piece
        except OSError:
            pass
        return data

    def test_too_long_for_the_daemon(self):
        """Short enough for HTTP and too long for the control socket, which all who are here share: nobody else notices."""
        failed = []

        def others(stop):
            while not stop.is_set():
                status = self.ask("GET", f"{API}/servers", headers=self.operator)[0]
                if status != 200:
                    failed.append(status)
        stop = threading.Event()
        thread = threading.Thread(target=others, args=(stop,))
        thread.start()
        try:
            for letter in ("x", "\u0001"):
                for _ in range(5):
                    length = (65_400 if letter == "x" else 10_000)
                    self.refused(400, "invalid", "POST", f"{API}/session", {"user": "alice", "password": letter * length})
                    self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failed, [])

    def test_a_refused_name_is_not_kept_whole(self):
        self.refused(403, "forbidden", "POST", f"{API}/users", {"name": "n" * 30_000, "role": "owner", "password": "long enough for all"}, self.owner)

        def written():
            rows = self.ask("GET", f"{API}/audit?limit=5", headers=self.operator)[2]["entries"]
            return next((row for row in rows if (row["name"] or "").startswith("nnnn")), None)
        e2e.wait_until(written, PATIENCE_S, lambda: "the refusal is in the audit")
        self.assertLessEqual(len(written()["name"]), 300)

    def test_slow_clients_hold_up_nobody(self):
        slow = []
        try:
            for i in range(200):
                connection = socket.create_connection(("127.0.0.1", self.web.port), PATIENCE_S)
                connection.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{" if i % 2
                                   else b"GET /api/v1/servers HT")
                slow.append(connection)
            for _ in range(20):
                self.assertEqual(self.ask("GET", f"{API}/servers", headers=self.operator, timeout=PATIENCE_S)[0], 200)
        finally:
            for connection in slow:
                connection.close()

    def test_a_reader_that_does_not_read(self):
        """Its stream is bounded: the process does not grow with what it does not take."""
        def resident():
            return int(Path(f"/proc/{self.web.process.pid}/statm").read_text(encoding="ascii").split()[1]) * 4096
        with socket.create_connection(("127.0.0.1", self.web.port), PATIENCE_S) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lines = [f"GET {API}/events HTTP/1.1", "Host: a", f"Cookie: {self.operator['Cookie']}", "", ""]
            connection.sendall("\r\n".join(lines).encode())
            before = resident()
            for _ in range(40):
                self.ask("PUT", f"{API}/mode", {"mode": "manage"}, self.operator)
                self.ask("PUT", f"{API}/mode", {"mode": "observe"}, self.operator)
            self.assertLess(resident() - before, 8 << 20)
        self.assertEqual(self.ask("GET", f"{API}/servers", headers=self.operator)[0], 200)

    # ---- what comes back

    def test_headers(self):
        status, headers, page = self.ask("GET", "/")
        self.assertEqual((status, headers.get_content_type()), (200, "text/html"))
        policy = headers["Content-Security-Policy"]
        for word in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            self.assertIn(word, policy)
        self.assertNotIn("unsafe-inline", re.sub(r"style-src[^;]*", "", policy))
        for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")):
            self.assertEqual(headers[name], value)
        self.assertNotRegex(page.decode(), r"<script(?![^>]*\ssrc=)")
        api = self.ask("GET", f"{API}/servers", headers=self.operator)[1]
        self.assertIn("no-store", api["Cache-Control"])
        self.assertEqual(api["X-Content-Type-Options"], "nosniff")

    def test_parts_are_compressed_and_cached(self):
        page = self.ask("GET", "/")[2].decode()
        parts = sorted(set(re.findall(r"(?:src|href)=\"?(/[^\" >]+)", page)))
        self.assertTrue(any(part.endswith(".js") for part in parts), parts)
        total = 0
        for part in ["/", *parts]:
            status, headers, body = self.ask("GET", part, headers={"Accept-Encoding": "gzip"})
            self.assertEqual(status, 200, part)
            compressed = headers["Content-Encoding"] == "gzip"
            # What fits into one packet anyway is sent as it is.
            self.assertTrue(compressed or len(body) < 1500, part)
            total += len(body)
            again = self.ask("GET", part, headers={"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]})
            self.assertEqual((again[0], again[2]), (304, b""), part)
            plain = self.ask("GET", part)
            self.assertEqual(plain[2], gzip.decompress(body) if compressed else body)
        self.assertLessEqual(total, 60 * 1024)
        self.assertEqual(self.ask("GET", "/servers/web-1/settings")[2], page.encode(), "a deep link is the page")

    def test_health_and_metrics(self):
        self.assertEqual(self.ask("GET", "/healthz")[2], {"status": "ok"})
        status, headers, text = self.ask("GET", "/metrics", headers=self.operator)
        self.assertEqual((status, headers.get_content_type()), (200, "application/openmetrics-text"))
        lines = text.decode().splitlines()
        self.assertEqual(lines[-1], "# EOF")
        samples = [line for line in lines if not line.startswith("#")]
        for line in samples:
            self.assertRegex(line, r'^aerostat_[a-z0-9_]+(\{server="[^"]*",kind="(kvm|lxc)"\})? -?[0-9.e+-]+$')
        self.assertIn('aerostat_server_maximum_bytes{server="web-1",kind="kvm"} 536870912', samples)
        own = self.ask("GET", "/metrics", headers=self.owner)[2].decode()
        self.assertNotIn("shop-1", own)
        self.assertNotRegex(own, r"(?m)^aerostat_pool_bytes ")

    def test_answers_are_as_described(self):
        """Every GET of an operator and of an owner, some refusals, against the interface's own description."""
        description = self.ask("GET", f"{API}/openapi.json")[2]
        answers = []
        for who in (self.operator, self.owner):
            for path, operations in description["paths"].items():
                if "get" not in operations or path in ("/events", "/metrics", "/openapi.json"):
                    continue
                asked = path.replace("{name}", "web-1").replace("{id}", "1")
                if path.endswith("/preview"):
                    asked += "?weight=200"
                if path == "/host/history":
                    asked += "?servers=true"
                status, _, body = self.ask("GET", API + asked, headers=who)
                answers.append({"method": "GET", "path": path, "status": status, "body": body})
        good = {answer["path"] for answer in answers if answer["status"] == 200}
        bad = {answer["path"]: answer["status"] for answer in answers[:len(answers) // 2] if answer["status"] != 200}
        self.assertGreater(len(good), 18, bad)
        changes = [("POST", "/reservations", {"bytes": 1 << 20, "for": "x"}), ("PATCH", "/servers/{name}/settings", {"weight": 150}),
                   ("PUT", "/mode", {"mode": "observe"}), ("POST", "/users", {"name": "carol", "role": "owner", "password": "long enough for all"}),
                   ("PUT", "/servers/{name}/owner", {"user": "alice"}), ("POST", "/tokens", {"label": "t"}),
                   ("PUT", "/users/{name}/password", {"password": "another for all of it", "revoke_tokens": True}),
                   ("POST", "/servers/{name}/reinstall", {"image": "x", "confirm": "web-1"}), ("POST", "/users", {"name": "carol", "role": "x", "password": "y"})]
        for method, path, body in changes:
            name = "carol" if path.startswith("/users") else "web-1"
            status, _, answer = self.ask(method, API + path.replace("{name}", name), body, self.operator)
            answers.append({"method": method, "path": path, "status": status, "body": answer or None})
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(answers, file)
            file.flush()
            done = subprocess.run(["node", str(ROOT / "dashboard/tests/openapi.mjs"), str(ROOT / "src/web/openapi.json"), file.name],
                                  capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    # ---- events

    def listen(self, headers, seconds, until=None):
        """Events of a stream: [(type, data)]."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=seconds)
        connection.request("GET", f"{API}/events", headers=headers)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers.get_content_type()), (200, "text/event-stream"))
        events, kind, end = [], None, time.monotonic() + seconds
        try:
            while time.monotonic() < end and not (until and until(events)):
                line = answer.readline().decode()
                if not line:
                    break
                if line.startswith("event: "):
                    kind = line[7:].strip()
                elif line.startswith("data: "):
                    events.append((kind, json.loads(line[6:])))
                elif line.startswith(":"):
                    events.append(("heartbeat", None))
        except TimeoutError:
            pass
        finally:
            connection.close()
        return events

    def test_events_of_an_operator_and_an_owner(self):
        def enough(events):
            return {"host", "server"} <= {kind for kind, _ in events}
        events = self.listen(self.operator, 15, enough)
        self.assertTrue(enough(events), events)
        own = self.listen(self.owner, 4)
        self.assertNotIn("host", {kind for kind, _ in own})
        self.assertNotIn("shop-1", json.dumps(own))

    def test_a_quiet_stream_has_a_heartbeat(self):
        self.assertTrue(self.listen({**self.owner}, 20, lambda events: ("heartbeat", None) in events))

    def test_a_stream_ends_with_its_session(self):
        own = self.web.log_in("alice", self.passwords["alice"])
        timer = threading.Timer(1, lambda: self.ask("DELETE", f"{API}/session", headers=own))
        timer.start()
        events = self.listen(own, 15, lambda events: events and events[-1][0] == "end")
        timer.join()
        self.assertEqual(events[-1][0], "end", events)

    def test_a_stream_outlives_another_session_of_its_account(self):
        first, second = (self.web.log_in("alice", self.passwords["alice"]) for _ in range(2))
        # Two tabs of the first: neither may stand in for the other.
        gone = [threading.Thread(target=self.listen, args=(first, 30, lambda events: events and events[-1][0] == "end"))
                for _ in range(2)]
        for one in gone:
            one.start()
        time.sleep(1)
        changed = []

        def end_the_first_and_change():
            self.ask("DELETE", f"{API}/session", headers=first)
            time.sleep(7)  # longer than the daemon takes to find that the session has ended
            self.ask("PATCH", f"{API}/servers/web-1/settings", {"weight": 321}, self.operator)
            changed.append(True)
        timer = threading.Timer(1, end_the_first_and_change)
        timer.start()

        def heard(events):
            return changed and any(kind == "server" and '"weight": 321' in json.dumps(data) for kind, data in events)
        events = self.listen(second, 20, heard)
        timer.join()
        for one in gone:
            one.join()
        self.assertTrue(heard(events), events[-3:])

    def test_the_daemon_goes_and_comes_back(self):
        def back(events):
            kinds = [kind for kind, _ in events]
            return "offline" in kinds and "online" in kinds[kinds.index("offline"):]
        timer = threading.Timer(1, lambda: (self.daemon.stop(kill=True), time.sleep(2), self.daemon.start()))
        timer.start()
        events = self.listen(self.operator, 30, back)
        timer.join()
        self.assertTrue(back(events), [kind for kind, _ in events])
        self.daemon.wait(lambda: self.ask("GET", "/healthz")[0] == 200, 15, "connected again")
        self.assertEqual(self.ask("GET", f"{API}/servers", headers=self.operator)[0], 200)

    def test_without_a_daemon(self):
        self.daemon.stop()
        try:
            self.daemon.wait(lambda: self.ask("GET", "/healthz")[0] == 503, 10, "the web notices")
            detail = self.refused(503, "unavailable", "GET", f"{API}/servers", headers=self.operator)
            self.assertIn("daemon", detail)
            self.assertEqual(self.ask("GET", "/")[0], 200)
        finally:
            self.daemon.start()
        self.daemon.wait(lambda: self.ask("GET", "/healthz")[0] == 200, 15, "connected again")


class Flood(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        start(cls)
        cls.operator = cls.web.log_in("root", cls.passwords["root"])

    def test_a_thousand_failed_logins(self):
        def fail(i):
            status, headers, problem = self.web.ask("POST", f"{API}/session", {"user": f"user-{i % 7}", "password": f"wrong-{i}"},
                                                    timeout=60)
            return status, headers.get_content_type(), problem.get("kind"), headers["Retry-After"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = [pool.submit(fail, i) for i in range(FAILED_LOGINS)]
            for _ in range(10):
                self.assertEqual(self.web.ask("GET", f"{API}/servers", headers=self.operator, timeout=PATIENCE_S)[0], 200)
                time.sleep(0.1)
            answers = [one.result() for one in running]
        self.assertEqual({(status, kind) for status, _, kind, _ in answers} - {(401, "unauthenticated"), (429, "rate-limited")}, set())
        self.assertEqual({kind for _, kind, _, _ in answers}, {"application/problem+json"})
        refused = [answer for answer in answers if answer[0] == 429]
        self.assertGreater(len(refused), FAILED_LOGINS // 2, "guessing is slowed down")
        self.assertTrue(all(int(answer[3]) > 0 for answer in refused))


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("openssl") is None:
            raise unittest.SkipTest("openssl is not installed")
        start(cls)
        cls.certificate, cls.key = cls.daemon.dir / "cert.pem", cls.daemon.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(cls.key), "-out", str(cls.certificate)],
                       check=True, capture_output=True)
        cls.tls = Web(cls.daemon, certificate=cls.certificate, key=cls.key)
        cls.addClassCleanup(cls.tls.close)

    def test_a_session_over_tls(self):
        trust = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", self.tls.port, timeout=PATIENCE_S, context=trust)
        body = json.dumps({"user": "alice", "password": self.passwords["alice"]})
        connection.request("POST", f"{API}/session", body, {"Content-Type": "application/json", "X-Requested-With": "test"})
        answer = connection.getresponse()
        answer.read()
        self.assertEqual(answer.status, 201)
        self.assertIn("Secure", answer.headers["Set-Cookie"])
        self.assertIn("max-age", answer.headers["Strict-Transport-Security"])
        connection.close()

    def test_a_certificate_that_is_none(self):
        bad = self.daemon.dir / "bad.pem"
        bad.write_text("no certificate\n", encoding="utf-8")
        config = self.daemon.dir / "bad.conf"
        config.write_text(f"[control]\nsocket={self.daemon.socket}\n[web]\nlisten=127.0.0.1:{free_port()}\n"
                          f"certificate={bad}\nkey={self.key}\n", encoding="utf-8")
        rights = ["--allow-root"] if os.geteuid() == 0 else []
        done = subprocess.run([e2e.program("aerostat-web"), *rights, "--config", str(config)], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("bad.pem", done.stderr)


if __name__ == "__main__":
    raise SystemExit(e2e.main(needs_lab=False))
