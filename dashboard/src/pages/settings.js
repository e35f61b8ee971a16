// Ballooning on or off for one server; for operators also its minimum and weight.
import { useEffect, useState } from "preact/hooks";
import { get, request, serverPath } from "../api.js";
import { exact, gib, parseSize } from "../format.js";
import { html } from "../html.js";
import { learnOperation, learnServer, operationOf } from "../live.js";
import { go } from "../router.js";
import { Dialog, Field, ProblemBox, Size, useAction } from "../ui.js";

/** @param {{server: any, open: boolean, onClose: () => void}} props */
export function RestartDialog({ server, open, onClose }) {
  const { run, busy, problem } = useAction();
  const off = server.ballooning.state === "off-pending-restart";
  const restart = () => run(async () => {
    learnOperation(await request("POST", `${serverPath(server.name)}/actions/restart`));
    onClose();
  });
  return html`<${Dialog} open=${open} title=${`Restart ${server.name} now?`} confirm="Restart now" busy=${busy} onConfirm=${restart} onClose=${onClose}>
    <p>The server is shut down, as its own power button would do it, and started again. Its programs are not reachable meanwhile.</p>
    ${off && html`<p>It comes back with all of its <${Size} bytes=${server.maximum_bytes} /> fixed. If the host cannot hold that much right now, nothing is stopped and you are told what is missing.</p>`}
    ${server.ballooning.state === "on-pending-restart" && html`<p>It comes back with ballooning on.</p>`}
    <${ProblemBox} problem=${problem} />
  <//>`;
}

/** @param {{server: any}} props */
function Pending({ server }) {
  const [asking, ask] = useState(false);
  const operation = operationOf(server.name);
  const off = server.ballooning.state === "off-pending-restart";
  if (operation?.state === "running") return null; // the page shows it already
  return html`<div class="notice pending" role="status">
    <p><strong>${off ? "Ballooning will be disabled: this applies at the next restart." : "Ballooning will be enabled: this applies at the next restart."}</strong></p>
    <p>${off ? html`Until then the server already gets its memory back as the host can give it: <${Size} bytes=${server.balloon_bytes} /> of <${Size} bytes=${server.maximum_bytes} /> now, and none of it is taken away again. ` : ""}
      A reboot from within the server is not enough; restart it here.</p>
    <button onClick=${() => ask(true)}>Restart now</button>
    <${RestartDialog} server=${server} open=${asking} onClose=${() => ask(false)} />
  </div>`;
}

/** @param {{server: any}} props */
function OnLxc({ server }) {
  return html`<section class="panel lxc"><h2>Disable ballooning</h2>
    <p><strong>This server still runs on LXC, so it has no such option.</strong> An LXC container has no balloon: its memory is a plain limit on
      the host's own, which cannot be fixed and guaranteed, nor lent and given back.</p>
    <p>On KVM it can: your memory is handled automatically, and you can turn that off whenever an application needs fixed, guaranteed memory.
      New servers are made on KVM; this one can be made anew there.</p>
    <button onClick=${() => go(`/servers/${encodeURIComponent(server.name)}/reinstall`)}>Reinstall on KVM…</button>
  </section>`;
}

/** @param {{server: any}} props */
function Ballooning({ server }) {
  const { run, busy, problem } = useAction();
  const state = server.ballooning.state;
  const disabled = state === "off" || state === "off-pending-restart";
  const change = (/** @type {boolean} */ enabled) => run(async () => learnServer(
    await request("PATCH", `${serverPath(server.name)}/settings`, { ballooning_enabled: enabled, ...(server.revision != null ? { revision: server.revision } : {}) })));
  return html`<section class="panel">
    <h2>Ballooning</h2>
    ${(state === "off-pending-restart" || state === "on-pending-restart") && html`<${Pending} server=${server} />`}
    ${state === "off" && html`<div class="notice good"><p><strong>Off, guaranteed.</strong> All of the <${Size} bytes=${server.maximum_bytes} /> are reserved for this server alone, whether it uses them or not.
      ${server.ballooning.sentence ? ` ${server.ballooning.sentence}` : ""}</p></div>`}
    ${state === "unavailable" && html`<div class="notice"><p><strong>Ballooning does not work on this server.</strong> ${server.ballooning.sentence ?? "Its memory is fixed."}</p></div>`}
    <label class="switch"><input type="checkbox" role="switch" checked=${disabled} disabled=${busy || state === "unavailable"}
        onChange=${(/** @type {any} */ event) => { const wanted = event.target.checked; event.target.checked = disabled; void change(!wanted); }} />
      <span><strong>Disable ballooning</strong><small>Recommended: leave ballooning on (this switch off).</small></span></label>
    <${ProblemBox} problem=${problem} />
    <p>With ballooning, the host lends memory that this server does not use to others, and gives it back by itself as soon as the server needs it.
      Disabled, the server keeps all of its <${Size} bytes=${server.maximum_bytes} /> at every moment, used or not.
      The change applies when the server is restarted here.</p>
    <div class="two">
      <div><h3>Disable it for</h3><ul><li>real-time databases and in-memory stores that plan with a fixed size</li><li>applications for which even a moment's wait for memory is too long</li><li>software whose maker asks for fixed, reserved memory</li></ul></div>
      <div><h3>Leave it on for</h3><ul><li>web servers, mail, files, most databases</li><li>development and test servers</li><li>everything you are not sure about</li></ul></div>
    </div>
  </section>`;
}

/** What the host would do with other figures, from its own rules. @param {{server: any, minimum: number|null, weight: number|null}} props */
function Preview({ server, minimum, weight }) {
  const [preview, set] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      const query = new URLSearchParams();
      if (minimum != null) query.set("minimum_bytes", String(minimum));
      if (weight != null) query.set("weight", String(weight));
      get(`${serverPath(server.name)}/preview?${query}`).then((data) => current && set(data), (problem) => current && set({ problem }));
    }, 300);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [server.name, minimum, weight]);
  if (!preview) return html`<div class="preview"><p class="quiet" role="status">Working out what this would do…</p></div>`;
  if (preview.problem) return html`<div class="preview"><${ProblemBox} problem=${preview.problem} /></div>`;
  const moved = preview.servers.filter((/** @type {any} */ one) => Math.abs(one.after_bytes - one.before_bytes) >= 2 ** 20);
  return html`<div class="preview" role="status"><h3>What this would do now</h3>
    ${preview.feasible === false && html`<p class="bad">${preview.reason}</p>`}
    ${moved.length === 0 ? html`<p class="quiet">Nothing would move right now: there is enough for everybody.</p>`
      : html`<table><thead><tr><th scope="col">Server</th><th scope="col" class="number">Now</th><th scope="col" class="number">Then</th></tr></thead>
        <tbody>${moved.map((/** @type {any} */ one) => html`<tr><th scope="row">${one.name}</th><td class="number"><${Size} bytes=${one.before_bytes} /></td><td class="number"><${Size} bytes=${one.after_bytes} /></td></tr>`)}</tbody></table>`}
  </div>`;
}

/** @param {{server: any}} props */
function Shares({ server }) {
  const [minimum, setMinimum] = useState(gib(server.minimum_bytes));
  const [weight, setWeight] = useState(String(server.weight));
  const { run, busy, problem } = useAction();
  const [saved, setSaved] = useState(false);
  const bytes = parseSize(minimum);
  const number = /^\d{1,5}$/.test(weight) ? Number(weight) : null;
  const minimumError = bytes == null ? "Write a size such as 512 MiB or 1.5 GiB." : bytes > server.maximum_bytes ? `At most what is booked, ${gib(server.maximum_bytes)}.` : null;
  const weightError = number == null || number < 1 || number > 10000 ? "Write a whole number from 1 to 10000." : null;
  const changedMinimum = minimum !== gib(server.minimum_bytes);
  const changed = changedMinimum || number !== server.weight;
  /** @param {SubmitEvent} event */
  const save = (event) => {
    event.preventDefault();
    void run(async () => {
      learnServer(await request("PATCH", `${serverPath(server.name)}/settings`, {
        ...(changedMinimum ? { minimum_bytes: bytes } : {}), ...(number !== server.weight ? { weight: number } : {}), ...(server.revision != null ? { revision: server.revision } : {}) }));
      setSaved(true);
    });
  };
  return html`<section class="panel"><h2>Minimum and weight</h2>
    <p class="quiet">Only operators see this. The minimum stays with the server under any pressure; the weight is how it stands against others when there is not enough for all.</p>
    <form onSubmit=${save}>
      <div class="two">
        <${Field} label="Minimum" help=${bytes == null ? "" : exact(bytes)} error=${minimumError}><input value=${minimum} aria-invalid=${minimumError ? "true" : undefined} onInput=${(/** @type {any} */ e) => { setMinimum(e.target.value); setSaved(false); }} /><//>
        <${Field} label="Weight" help="100 is usual; 200 counts twice." error=${weightError}><input inputmode="numeric" value=${weight} aria-invalid=${weightError ? "true" : undefined} onInput=${(/** @type {any} */ e) => { setWeight(e.target.value); setSaved(false); }} /><//>
      </div>
      ${changed && !minimumError && !weightError && html`<${Preview} server=${server} minimum=${changedMinimum ? bytes : null} weight=${number !== server.weight ? number : null} />`}
      <${ProblemBox} problem=${problem} />
      ${saved && !changed && html`<p class="good" role="status">Saved.</p>`}
      <button type="submit" disabled=${!changed || Boolean(minimumError || weightError) || busy} aria-busy=${busy ? "true" : undefined}>Save</button>
    </form>
  </section>`;
}

/** @param {{server: any, session: any}} props */
export function Settings({ server, session }) {
  return html`${server.kind === "lxc" ? html`<${OnLxc} server=${server} />` : html`<${Ballooning} server=${server} />`}
    ${session?.role === "operator" && server.kind === "kvm" && html`<${Shares} server=${server} />`}`;
}
