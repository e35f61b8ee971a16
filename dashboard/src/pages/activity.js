// Who changed what, for one server or for all.
import { useState } from "preact/hooks";
import { get } from "../api.js";
import { moment } from "../format.js";
import { html } from "../html.js";
import { Loading, ProblemBox, useLoaded } from "../ui.js";

const PAGE = 50;

/** @param {any} value */
function shown(value) {
  if (value == null || value === "") return "";
  return typeof value === "string" ? value : JSON.stringify(value).replace(/^\{|\}$|"/g, "").replace(/,/g, ", ");
}

/** @param {{name?: string}} props */
export function AuditTable({ name }) {
  const [before, setBefore] = useState(/** @type {number[]} */ ([]));
  const query = new URLSearchParams({ limit: String(PAGE), ...(name ? { name } : {}), ...(before.length ? { before: String(before[before.length - 1]) } : {}) });
  const audit = useLoaded(() => get(`/audit?${query}`), [String(query)]);
  const entries = audit.data?.entries ?? [];
  if (!audit.data && !audit.problem) return html`<${Loading} rows=${5} />`;
  return html`<${ProblemBox} problem=${audit.problem} retry=${audit.again} />
    ${audit.data && entries.length === 0 && html`<p class="quiet">Nothing has been changed yet.</p>`}
    ${entries.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Changes"><table>
      <thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">From</th>${!name && html`<th scope="col">About</th>`}<th scope="col">What</th><th scope="col">Before</th><th scope="col">After</th><th scope="col">Result</th></tr></thead>
      <tbody>${entries.map((/** @type {any} */ one) => html`<tr key=${one.id}><td class="when">${moment(one.time_us)}</td><td>${one.who}</td><td>${one.from}</td>${!name && html`<td>${one.name}</td>`}
        <td>${one.action}</td><td>${shown(one.before)}</td><td>${shown(one.after)}</td><td class=${one.result === "done" ? "" : "bad"}>${one.result}</td></tr>`)}</tbody></table></div>`}
    <div class="pager">
      ${before.length > 0 && html`<button class="secondary small" onClick=${() => setBefore(before.slice(0, -1))}>Newer</button>`}
      ${entries.length === PAGE && html`<button class="secondary small" onClick=${() => setBefore([...before, entries[entries.length - 1].id])}>Older</button>`}
    </div>`;
}

/** @param {{server: any}} props */
export const Activity = ({ server }) => html`<section class="panel"><h2>Activity</h2><p class="quiet">Every change to this server: who made it, from where, and what came of it.</p><${AuditTable} name=${server.name} /></section>`;

export const Audit = () => html`<main><h1 tabindex="-1">Audit</h1><section class="panel"><${AuditTable} /></section></main>`;
