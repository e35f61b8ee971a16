// One server: its tabs, and the overview.
import { useEffect, useState } from "preact/hooks";
import { get, serverPath } from "../api.js";
import { ServerChart } from "../charts.js";
import { duration } from "../format.js";
import { html } from "../html.js";
import { gaps, operationOf, useLive } from "../live.js";
import { Link } from "../router.js";
import { Decision, Figures, Kind, lentOf, Loading, MemoryBar, ProblemBox, Progress, Size, State, useLoaded } from "../ui.js";
import { Activity } from "./activity.js";
import { Power } from "./power.js";
import { Reinstall } from "./reinstall.js";
import { Settings } from "./settings.js";

const TABS = { "": "Overview", settings: "Settings", power: "Power", reinstall: "Reinstall", activity: "Activity" };
const RANGES = [["15 min", 900], ["3 h", 10800], ["24 h", 86400], ["30 days", 2592000]];

/** History of the chosen range, with what happens now at its end. @param {any} server @param {number} seconds */
function usePoints(server, seconds) {
  const now = Math.floor(Date.now() / 1000);
  const loaded = useLoaded(() => get(`${serverPath(server.name)}/history?from=${now - seconds}&to=${now}&points=400`), [server.name, seconds, gaps()]);
  const [fresh, setFresh] = useState(/** @type {any[]} */ ([]));
  useEffect(() => setFresh([]), [server.name, seconds, gaps()]);
  useEffect(() => {
    const time = Date.now() / 1000;
    setFresh((points) => (points.length && time - points[points.length - 1].time < Math.max(1, seconds / 900) ? points
      : [...points, { time, maximum_bytes: server.maximum_bytes, balloon_bytes: server.balloon_bytes, used_bytes: server.used_bytes }].slice(-900)));
  }, [server]);
  const points = [...(loaded.data?.points ?? []), ...fresh].filter((point) => point.time >= Date.now() / 1000 - seconds);
  return { points, ready: loaded.data !== undefined || loaded.problem != null };
}

/** What ballooning means for this server right now, in sentences. @param {{server: any}} props */
function Standing({ server }) {
  const lent = lentOf(server);
  const explained = useLoaded(() => get(`${serverPath(server.name)}/explanation`), [server.name, Math.round(lent / 2 ** 26)]);
  const sentences = explained.data?.sentences ?? [];
  const state = server.ballooning.state;
  const lead = server.kind === "lxc" ? html`This server runs on LXC: its memory is a limit, not a balloon, and nothing is lent.`
    : state === "off" ? html`Ballooning is off: all of the <${Size} bytes=${server.maximum_bytes} /> are this server's alone.`
    : lent > 0 ? html`<strong><${Size} bytes=${lent} /></strong> of this server's memory are lent out while it does not need them: to others, or ready for whoever needs them first. They come back by themselves.`
    : html`This server has all of its memory: nothing is lent.`;
  return html`<section class="panel"><h2>Memory right now</h2>
    <p>${lead}</p>
    <ul class="sentences">${sentences.map((/** @type {string} */ text) => html`<li>${text}</li>`)}</ul>
    <dl class="facts">
      <div><dt>Came back last time in</dt><dd>${server.relief_us == null ? "not needed yet" : duration(server.relief_us)}</dd></div>
      <div><dt>Waited for memory in all</dt><dd>${server.stalled_us == null ? "not measured" : duration(server.stalled_us)}</dd></div>
      <div><dt>Always kept for it</dt><dd><${Size} bytes=${server.minimum_bytes} /></dd></div>
    </dl></section>`;
}

/** @param {{server: any}} props */
function Overview({ server }) {
  const [seconds, setSeconds] = useState(900);
  const { points, ready } = usePoints(server, seconds);
  const { decisions } = useLive();
  const old = useLoaded(() => get(`${serverPath(server.name)}/decisions?limit=20`), [server.name, gaps()]);
  const fresh = decisions.filter((decision) => decision.server === server.name);
  const seen = new Set(fresh.map((decision) => decision.time_us));
  const shown = [...fresh, ...(old.data?.decisions ?? []).filter((/** @type {any} */ one) => !seen.has(one.time_us))].slice(0, 20);
  return html`
    <section class="panel"><${MemoryBar} server=${server} tall /><${Figures} server=${server} /></section>
    <section class="panel">
      <div class="title"><h2>Over time</h2><div role="group" class="ranges" aria-label="Time shown">
        ${RANGES.map(([label, value]) => html`<button class=${`small ${seconds === value ? "" : "secondary outline"}`} aria-pressed=${seconds === value} onClick=${() => setSeconds(/** @type {number} */ (value))}>${label}</button>`)}</div></div>
      ${!ready ? html`<${Loading} rows=${1} tall />` : points.length > 1 ? html`<${ServerChart} points=${points} name=${server.name} />` : html`<p class="plot quiet">No history yet. The first points come within a minute.</p>`}
      <ul class="legend"><li><i class="key used"></i>In use</li><li><i class="key spare"></i>Available now</li><li><i class="key booked"></i>Booked</li></ul>
    </section>
    <${Standing} server=${server} />
    <section class="panel"><h2>What was decided</h2>
      ${shown.length ? html`<ul class="decisions">${shown.map((decision) => html`<${Decision} key=${`${decision.time_us}`} decision=${decision} />`)}</ul>`
        : html`<p class="quiet">Nothing has had to be moved for this server lately.</p>`}
    </section>`;
}

/** @param {{name: string, tab: string}} props */
export function Server({ name, tab }) {
  const { servers, error, session } = useLive();
  const server = servers?.get(name);
  if (!servers) return html`<main>${error && error.status ? html`<${ProblemBox} problem=${error} />` : html`<${Loading} rows=${4} tall />`}</main>`;
  if (!server) return html`<main><div class="empty"><h1 tabindex="-1">There is no such server</h1><p>There is no server “${name}” here, or it is not yours.</p><p><${Link} href="/">All servers<//></p></div></main>`;
  const operation = operationOf(name);
  const here = `/servers/${encodeURIComponent(name)}`;
  const Tab = { "": Overview, settings: Settings, power: Power, reinstall: Reinstall, activity: Activity }[tab];
  return html`<main>
    <p class="crumb"><${Link} href="/">Servers<//></p>
    <div class="title"><h1 tabindex="-1">${name}</h1><span class="tags"><${Kind} kind=${server.kind} /><${State} state=${server.state} /></span></div>
    <nav class="tabs" aria-label="About this server"><ul>
      ${Object.entries(TABS).map(([part, label]) => html`<li><${Link} href=${part ? `${here}/${part}` : here}>${label}<//></li>`)}
    </ul></nav>
    ${operation?.state === "running" && tab !== "power" && tab !== "reinstall" && html`<${Progress} operation=${operation} />`}
    ${Tab ? html`<${Tab} key=${name} server=${server} session=${session} />` : html`<p>There is no such page.</p>`}
  </main>`;
}
