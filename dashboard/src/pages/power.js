// Start, shut down, restart, stop.
import { useState } from "preact/hooks";
import { request, serverPath } from "../api.js";
import { html } from "../html.js";
import { learnOperation, operationOf } from "../live.js";
import { Dialog, ProblemBox, Progress, Size, useAction } from "../ui.js";

const ACTIONS = /** @type {Record<string, {label: string, about: string, ask: string, danger?: boolean}>} */ ({
  start: { label: "Start", about: "Switches the server on. The host makes room for it first.", ask: "" },
  shutdown: { label: "Shut down", about: "Asks the server's system to end its programs and switch off, like its power button.", ask: "Its programs are asked to end, and it switches off." },
  restart: { label: "Restart", about: "Shuts it down and starts it again. Settings that wait for a restart apply.", ask: "The server is shut down and started again. Its programs are not reachable meanwhile." },
  stop: { label: "Stop", about: "Pulls the plug. What its programs have not written yet is lost.", ask: "This is like pulling the plug: what its programs have not written yet is lost. Use it only when shutting down does not work.", danger: true },
});

/** @param {{server: any}} props */
export function Power({ server }) {
  const [asked, ask] = useState(/** @type {string|null} */ (null));
  const { run, busy, problem, clear } = useAction();
  const operation = operationOf(server.name);
  const off = server.state === "off";
  const running = operation?.state === "running";
  const act = (/** @type {string} */ action) => run(async () => {
    learnOperation(await request("POST", `${serverPath(server.name)}/actions/${action}`));
    ask(null);
  });
  const possible = off ? ["start"] : ["shutdown", "restart", "stop"];
  const chosen = asked ? ACTIONS[asked] : null;
  return html`<section class="panel"><h2>Power</h2>
    <${Progress} operation=${operation} />
    ${!chosen && html`<${ProblemBox} problem=${problem} />`}
    ${off && html`<p>This server is off. Starting it needs <${Size} bytes=${server.maximum_bytes} /> on the host.</p>`}
    <ul class="actions">${possible.map((name) => html`<li>
      <div><strong>${ACTIONS[name].label}</strong><p class="quiet">${ACTIONS[name].about}</p></div>
      <button class=${ACTIONS[name].danger ? "danger outline" : "secondary"} disabled=${running || busy} onClick=${() => { clear(); if (name === "start") void act(name); else ask(name); }}>${ACTIONS[name].label}</button>
    </li>`)}</ul>
    <${Dialog} open=${chosen != null} title=${chosen ? `${chosen.label} ${server.name}?` : ""} confirm=${chosen?.label ?? ""} danger=${chosen?.danger} busy=${busy}
      onConfirm=${() => asked && act(asked)} onClose=${() => ask(null)}>
      <p>${chosen?.ask}</p><${ProblemBox} problem=${problem} />
    <//>
  </section>`;
}
