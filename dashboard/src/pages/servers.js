// All of a person's servers, one card each.
import { useState } from "preact/hooks";
import { get, serverPath } from "../api.js";
import { Spark } from "../charts.js";
import { byName } from "../format.js";
import { html } from "../html.js";
import { gaps, load, operationOf, useLive } from "../live.js";
import { Link } from "../router.js";
import { Empty, Figures, Kind, lentOf, Loading, MemoryBar, ProblemBox, Size, State, useLoaded } from "../ui.js";

/** Above this a line for each server would mean a request for each. */
const SPARKS_MAX = 40;
const SPARK_SECONDS = 3600;

const BALLOONING = /** @type {Record<string, string>} */ ({
  "off-pending-restart": "Ballooning will be off after the next restart",
  off: "Fixed memory: ballooning is off",
  "on-pending-restart": "Ballooning will be on after the next restart",
});

/** @param {{server: any, spark: boolean}} props */
function Card({ server, spark }) {
  const now = Math.floor(Date.now() / 1000);
  const history = useLoaded(() => (spark ? get(`${serverPath(server.name)}/history?from=${now - SPARK_SECONDS}&to=${now}&points=60`) : Promise.resolve(null)), [server.name, spark, gaps()]);
  const lent = lentOf(server);
  const operation = operationOf(server.name);
  const note = server.kind === "lxc" ? "Runs on LXC: ballooning is not available"
    : BALLOONING[server.ballooning.state] ?? (lent > 0 ? html`<${Size} bytes=${lent} /> lent out while you do not need it` : null);
  return html`<article class="card">
    <header>
      <h2><${Link} href=${`/servers/${encodeURIComponent(server.name)}`}>${server.name}<//></h2>
      <span class="tags"><${Kind} kind=${server.kind} /><${State} state=${server.state} /></span>
    </header>
    ${server.state === "off"
      ? html`<p class="quiet">This server is off. <${Size} bytes=${server.maximum_bytes} /> booked.</p>`
      : html`<${MemoryBar} server=${server} /><${Figures} server=${server} />`}
    ${spark && html`<${Spark} points=${history.data?.points ?? (history.problem ? [] : undefined)} />`}
    <p class="quiet note">${operation?.state === "running" ? operation.text : note ?? html`${"\u00a0"}`}</p>
  </article>`;
}

/** First visit: what the figures mean. Stays away once closed. */
function Welcome() {
  const [shown, set] = useState(() => localStorage.getItem("aerostat-welcome") !== "seen");
  if (!shown) return null;
  return html`<aside class="notice welcome">
    <h2>What you see here</h2>
    <p>Each server has the memory you <strong>booked</strong>. What it does not use may be lent to other servers on the same host, and
      comes back by itself as soon as your server needs it. <strong>Available now</strong> is what it can use this moment, <strong>in use</strong> is
      what its programs need.</p>
    <ul class="legend"><li><i class="key used"></i>In use</li><li><i class="key spare"></i>Available now</li><li><i class="key lent"></i>Lent out</li></ul>
    <button class="secondary small" onClick=${() => { localStorage.setItem("aerostat-welcome", "seen"); set(false); }}>I see</button>
  </aside>`;
}

export function Servers() {
  const { servers, error, session } = useLive();
  const [filter, setFilter] = useState("");
  const all = [...(servers?.values() ?? [])].sort((a, b) => byName(a.name, b.name));
  const shown = all.filter((server) => server.name.toLowerCase().includes(filter.toLowerCase()));
  return html`<main>
    <div class="title"><h1 tabindex="-1">Servers</h1>
      ${all.length > 8 && html`<input type="search" aria-label="Find a server" placeholder="Find a server" value=${filter} onInput=${(/** @type {any} */ e) => setFilter(e.target.value)} />`}</div>
    <${Welcome} />
    <${ProblemBox} problem=${error && error.status !== 401 && error.status !== 0 ? error : null} retry=${load} />
    ${!servers && !error && html`<${Loading} rows=${3} tall />`}
    ${servers && all.length === 0 && html`<${Empty} title="No servers yet">
      <p>${session?.role === "operator" ? "No server on this host is managed yet. Start one with libvirt, or make one with “aerostat create”." : "Your account owns no server yet. Ask the operator of this host to give you yours."}</p><//>`}
    ${all.length > 0 && shown.length === 0 && html`<p>No server's name contains “${filter}”.</p>`}
    <div class="cards">${shown.map((server) => html`<${Card} key=${server.name} server=${server} spark=${all.length <= SPARKS_MAX} />`)}</div>
  </main>`;
}
