// The whole host, for operators: who holds the memory, and why.
import { useEffect, useState } from "preact/hooks";
import { get, request } from "../api.js";
import { HostChart } from "../charts.js";
import { byName, duration, parseSize } from "../format.js";
import { html } from "../html.js";
import { gaps, load, useLive } from "../live.js";
import { Link } from "../router.js";
import { Decision, Dialog, Field, Kind, Loading, MemoryBar, ProblemBox, Size, State, useAction, useLoaded } from "../ui.js";

const CHART_SECONDS = 900;

/** @param {{host: any}} props */
function Pool({ host }) {
  const pool = host.pool_bytes || 1;
  const part = (/** @type {number} */ bytes) => ({ width: `${Math.min(100, (100 * (bytes ?? 0)) / pool)}%` });
  const slack = Math.min(host.slack_bytes ?? 0, Math.max(0, pool - (host.committed_bytes ?? 0)));
  return html`<section class="panel">
    <h2>The pool</h2>
    <div class="bar tall" role="img" aria-label="How the pool is used"><span class="used" style=${part(host.committed_bytes)}></span><span class="spare" style=${part(slack)}></span></div>
    <dl class="figures wide">
      <div><dt><i class="key used"></i>Committed</dt><dd><${Size} bytes=${host.committed_bytes} /></dd></div>
      <div><dt><i class="key spare"></i>Slack, ready for a burst</dt><dd><${Size} bytes=${host.slack_bytes} /></dd></div>
      <div><dt><i class="key booked"></i>Pool</dt><dd><${Size} bytes=${host.pool_bytes} /></dd></div>
      <div><dt>Host memory</dt><dd><${Size} bytes=${host.memory_bytes} /></dd></div>
      <div><dt>Short of memory</dt><dd><${Size} bytes=${host.short_bytes} /></dd></div>
      <div><dt>May reboot now, up to</dt><dd><${Size} bytes=${host.reboot_safe_bytes} /></dd></div>
      <div><dt>Relief, median / p99</dt><dd>${duration(host.relief_p50_us)} / ${duration(host.relief_p99_us)}</dd></div>
      <div><dt>Host pressure, 10 s</dt><dd>${host.pressure_some_avg10 == null ? "–" : `${host.pressure_some_avg10.toFixed(1)} %`}</dd></div>
    </dl>
    ${host.problems?.map((/** @type {string} */ text) => html`<div class="notice bad" role="alert"><p>${text}</p></div>`)}
  </section>`;
}

/** Balloon sizes as they were, and as they come in. */
function useHeld(/** @type {Map<string, any>|null} */ servers, /** @type {any} */ host) {
  const now = Math.floor(Date.now() / 1000);
  const loaded = useLoaded(() => get(`/host/history?from=${now - CHART_SECONDS}&to=${now}&points=180&servers=true`), [gaps()]);
  const [rows, set] = useState(/** @type {{time: number, pool: number|null, held: Record<string, number>}[]} */ ([]));
  useEffect(() => {
    const points = loaded.data?.points ?? [];
    const servers = Object.entries(loaded.data?.servers ?? {});
    set(points.map((/** @type {any} */ p, /** @type {number} */ i) => ({ time: p.time, pool: p.pool_bytes, held: Object.fromEntries(servers.filter(([, sizes]) => sizes[i] != null).map(([name, sizes]) => [name, sizes[i]])) })));
  }, [loaded.data]);
  useEffect(() => {
    if (!servers || !host) return;
    const time = Date.now() / 1000;
    set((before) => {
      if (before.length && time - before[before.length - 1].time < 1) return before;
      const held = Object.fromEntries([...servers.values()].filter((s) => s.state !== "off").map((s) => [s.name, s.balloon_bytes ?? 0]));
      return [...before, { time, pool: host.pool_bytes, held }].filter((row) => row.time >= time - CHART_SECONDS);
    });
  }, [servers, host]);
  return rows;
}

/** @param {{servers: Map<string, any>|null, host: any}} props */
function Holders({ servers, host }) {
  const rows = useHeld(servers, host);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.held)))].sort(byName);
  return html`<section class="panel"><h2>Who holds the memory</h2>
    ${rows.length < 2 ? html`<p class="plot quiet">The picture begins as soon as there are two points.</p>`
      : html`<${HostChart} times=${rows.map((row) => row.time)} names=${names} pool=${rows.map((row) => row.pool)} values=${names.map((name) => rows.map((row) => row.held[name] ?? null))} />`}
  </section>`;
}

const COLUMNS = /** @type {[string, string, (s: any) => any, boolean][]} */ ([
  ["name", "Server", (s) => s.name, false],
  ["state", "State", (s) => s.state, false],
  ["used", "In use", (s) => s.used_bytes ?? -1, true],
  ["balloon", "Available now", (s) => s.balloon_bytes ?? -1, true],
  ["maximum", "Booked", (s) => s.maximum_bytes, true],
  ["resident", "Resident", (s) => s.resident_bytes ?? -1, true],
  ["weight", "Weight", (s) => s.weight, true],
]);

/** @param {{servers: Map<string, any>|null, findings: any[]}} props */
function Table({ servers, findings }) {
  const [sort, setSort] = useState({ column: 0, down: false });
  const value = COLUMNS[sort.column][2];
  const rows = [...(servers?.values() ?? [])].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = typeof x === "string" ? byName(x, y) : x - y;
    return sort.down ? -order : order;
  });
  if (!servers) return html`<${Loading} rows=${4} />`;
  const hints = (/** @type {string} */ name) => findings.filter((finding) => finding.name === name && finding.severity !== "ok" && finding.severity !== "note");
  return html`<section class="panel"><h2>Servers</h2><div class="scroll" tabindex="0" role="region" aria-label="Servers"><table class="servers">
    <thead><tr>${COLUMNS.map(([key, label, , number], i) => html`<th scope="col" key=${key} class=${number ? "number" : ""} aria-sort=${sort.column === i ? (sort.down ? "descending" : "ascending") : "none"}>
      <button class="sort" onClick=${() => setSort({ column: i, down: sort.column === i ? !sort.down : number })}>${label}${sort.column === i ? (sort.down ? " ▾" : " ▴") : ""}</button></th>`)}<th scope="col">Memory</th><th scope="col">Why</th></tr></thead>
    <tbody>${rows.map((s) => html`<tr key=${s.name}>
      <th scope="row"><${Link} href=${`/servers/${encodeURIComponent(s.name)}`}>${s.name}<//> <${Kind} kind=${s.kind} /></th><td><${State} state=${s.state} /></td>
      <td class="number"><${Size} bytes=${s.used_bytes} /></td><td class="number"><${Size} bytes=${s.balloon_bytes} /></td><td class="number"><${Size} bytes=${s.maximum_bytes} /></td>
      <td class="number"><${Size} bytes=${s.resident_bytes} /></td><td class="number">${s.weight}</td><td class="bar-cell"><${MemoryBar} server=${s} /></td>
      <td class="why">${s.ballooning.sentence ?? s.ballooning.reason ?? ""}${hints(s.name).map((hint) => html`<div class="hint">${hint.what}${hint.fix ? html` <em>${hint.fix}</em>` : ""}</div>`)}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {{host: any}} props */
function Mode({ host }) {
  const [asking, ask] = useState(false);
  const { run, busy, problem } = useAction();
  const manages = host.mode === "manage";
  const change = () => run(async () => {
    await request("PUT", "/mode", { mode: manages ? "observe" : "manage" });
    ask(false);
    await load();
  });
  return html`<section class="panel mode"><div><h2>Mode: ${manages ? "manage" : "observe"}</h2>
    <p class="quiet">${manages ? "Memory is really moved." : "Decisions are taken and written down; no server is touched."}</p></div>
    <button class="secondary" onClick=${() => ask(true)}>${manages ? "Switch to observe" : "Switch to manage"}</button>
    <${Dialog} open=${asking} title=${manages ? "Stop moving memory?" : "Begin to move memory?"} confirm=${manages ? "Switch to observe" : "Switch to manage"} busy=${busy} onConfirm=${change} onClose=${() => ask(false)}>
      <p>${manages ? "Every server keeps the memory it has this moment. Decisions are still written down, and no balloon is touched until you switch back." : "From now on balloons are inflated and deflated as the decisions say. You can switch back at any time."}</p>
      <${ProblemBox} problem=${problem} /><//></section>`;
}

function Reservations() {
  const reservations = useLoaded(() => get("/reservations"), []);
  const [size, setSize] = useState("");
  const [name, setName] = useState("");
  const { run, busy, problem } = useAction();
  const list = reservations.data?.reservations ?? [];
  const bytes = parseSize(size);
  useEffect(() => {
    const timer = setInterval(reservations.again, 5000);
    return () => clearInterval(timer);
  }, []);
  /** @param {SubmitEvent} event */
  const add = (event) => {
    event.preventDefault();
    void run(async () => {
      await request("POST", "/reservations", { bytes, ...(name ? { for: name } : {}) });
      setSize("");
      setName("");
      reservations.again();
    });
  };
  return html`<section class="panel"><h2>Reservations</h2><p class="quiet">Room kept for a server that is about to start.</p>
    ${list.length === 0 ? html`<p>None right now.</p>` : html`<div class="scroll"><table><thead><tr><th scope="col">For</th><th scope="col" class="number">Size</th><th scope="col">Room</th><th scope="col">Ends in</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${list.map((/** @type {any} */ one) => html`<tr key=${one.id}><td>${one.for ?? "anybody"}</td><td class="number"><${Size} bytes=${one.bytes} /></td><td>${one.ready ? "there" : "being made"}</td><td>${duration(one.expires_in_us)}</td>
        <td><button class="secondary small" onClick=${() => run(async () => { await request("DELETE", `/reservations/${one.id}`); reservations.again(); })}>Release</button></td></tr>`)}</tbody></table></div>`}
    <form class="inline" onSubmit=${add}>
      <${Field} label="Size"><input required placeholder="2 GiB" value=${size} onInput=${(/** @type {any} */ e) => setSize(e.target.value)} /><//>
      <${Field} label="For (name, may be left out)"><input value=${name} onInput=${(/** @type {any} */ e) => setName(e.target.value)} /><//>
      <button type="submit" disabled=${!bytes || busy}>Reserve</button></form>
    <${ProblemBox} problem=${problem} /></section>`;
}

export function Host() {
  const { host, servers, decisions, error } = useLive();
  const old = useLoaded(() => get("/decisions?limit=50"), [gaps()]);
  const doctor = useLoaded(() => get("/doctor"), [host?.servers, host?.mode]);
  const findings = doctor.data?.findings ?? [];
  const seen = new Set(decisions.map((one) => `${one.time_us}${one.server}`));
  const stream = [...decisions, ...(old.data?.decisions ?? []).filter((/** @type {any} */ one) => !seen.has(`${one.time_us}${one.server}`))].slice(0, 60);
  const wide = findings.filter((/** @type {any} */ finding) => !finding.name && finding.severity !== "ok");
  if (!host) return html`<main><h1 tabindex="-1">Host</h1>${error?.status ? html`<${ProblemBox} problem=${error} retry=${load} />` : html`<${Loading} rows=${4} tall />`}</main>`;
  return html`<main class="wide"><h1 tabindex="-1">Host</h1>
    <div class="columns"><div><${Pool} host=${host} /><${Mode} host=${host} /></div><${Holders} servers=${servers} host=${host} /></div>
    <${Table} servers=${servers} findings=${findings} />
    <div class="columns">
      <section class="panel"><h2>Decisions</h2>${stream.length ? html`<ul class="decisions tall" tabindex="0" aria-label="Decisions, newest first">${stream.map((one) => html`<${Decision} key=${`${one.time_us}${one.server}`} decision=${one} withServer />`)}</ul>` : html`<p class="quiet">Nothing has had to be moved yet.</p>`}</section>
      <div><${Reservations} />
        ${wide.length > 0 && html`<section class="panel"><h2>Worth a look</h2><ul class="findings">${wide.map((/** @type {any} */ finding) => html`<li class=${finding.severity}>${finding.what}${finding.fix && html`<p class="quiet">${finding.fix}</p>`}</li>`)}</ul></section>`}</div>
    </div></main>`;
}
