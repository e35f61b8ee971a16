// The parts that every page is made of.
import { useEffect, useRef, useState } from "preact/hooks";
import { exact, gib, STATES } from "./format.js";
import { html } from "./html.js";

/** A size with its exact bytes for whoever points at it. @param {{bytes: number|null|undefined}} props */
export const Size = ({ bytes }) => html`<span class="figure" title=${exact(bytes)}>${gib(bytes)}</span>`;

/** Shares of a server's memory, in percent of what is booked. @param {any} server */
export function sharesOf(server) {
  const booked = server.maximum_bytes || 1;
  const available = server.balloon_bytes ?? 0;
  const used = Math.min(server.used_bytes ?? 0, available);
  return { used: (100 * used) / booked, spare: (100 * (available - used)) / booked, lent: (100 * Math.max(0, booked - available)) / booked };
}

/** Whether part of a server's memory is with others now. @param {any} server */
export function lentOf(server) {
  const running = server.state !== "off" && server.balloon_bytes != null;
  return running && server.kind === "kvm" ? Math.max(0, server.maximum_bytes - server.balloon_bytes) : 0;
}

/** In use, available now, lent: one bar, the same everywhere. @param {{server: any, tall?: boolean}} props */
export function MemoryBar({ server, tall }) {
  const shares = sharesOf(server);
  const known = server.balloon_bytes != null && server.used_bytes != null;
  const words = !known ? "no figures yet"
    : `${gib(server.used_bytes)} in use, ${gib(server.balloon_bytes)} available now, ${gib(server.maximum_bytes)} booked`;
  return html`<div class=${`bar ${tall ? "tall" : ""} ${known ? "" : "unknown"}`} role="img" aria-label=${words}>
    <span class="used" style=${{ width: `${shares.used}%` }}></span>
    <span class="spare" style=${{ width: `${shares.spare}%` }}></span>
    ${known && html`<span class="lent" style=${{ width: `${shares.lent}%` }}></span>`}
  </div>`;
}

/** The three figures, named as everywhere. @param {{server: any}} props */
export function Figures({ server }) {
  return html`<dl class="figures">
    <div><dt><i class="key used"></i>In use</dt><dd><${Size} bytes=${server.used_bytes} /></dd></div>
    <div><dt><i class="key spare"></i>Available now</dt><dd><${Size} bytes=${server.balloon_bytes} /></dd></div>
    <div><dt><i class="key booked"></i>Booked</dt><dd><${Size} bytes=${server.maximum_bytes} /></dd></div>
  </dl>`;
}

/** @param {{state: string}} props */
export const State = ({ state }) => html`<span class=${`state ${state}`}>${STATES[state] ?? state}</span>`;

/** @param {{kind: string}} props */
export const Kind = ({ kind }) => html`<span class="kind" title=${kind === "lxc" ? "A container; it has no balloon" : "A virtual machine"}>${kind.toUpperCase()}</span>`;

/** What has gone wrong, in the server's own words. @param {{problem: any, retry?: () => void}} props */
export function ProblemBox({ problem, retry }) {
  if (!problem) return null;
  const missing = problem.body?.missing_bytes;
  return html`<div class="notice bad" role="alert">
    <p>${problem.message}</p>
    ${missing != null && html`<p>Missing: <${Size} bytes=${missing} /></p>`}
    ${retry && html`<button class="secondary small" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** Grey shapes where figures will be, of the same size as these. @param {{rows?: number, tall?: boolean}} props */
export const Loading = ({ rows = 3, tall }) => html`<div class="loading" role="status" aria-label="Loading">
  ${Array.from({ length: rows }, () => html`<div class=${`ghost ${tall ? "tall" : ""}`}></div>`)}
</div>`;

/** @param {{title: string, children?: any}} props */
export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2>${children}</div>`;

/** Something that is loaded once and again: {data, problem, again}. @param {() => Promise<any>} load @param {any[]} inputs */
export function useLoaded(load, inputs) {
  const [state, set] = useState(/** @type {{data: any, problem: any}} */ ({ data: undefined, problem: null }));
  const [round, setRound] = useState(0);
  useEffect(() => {
    let current = true;
    load().then(
      (data) => current && set({ data, problem: null }),
      (problem) => current && set((before) => ({ data: before.data, problem })),
    );
    return () => {
      current = false;
    };
  }, [...inputs, round]);
  return { ...state, again: () => setRound((n) => n + 1) };
}

/** An action under way: {run, busy, problem, clear}; a second click while it runs does nothing. */
export function useAction() {
  const [state, set] = useState(/** @type {{busy: boolean, problem: any}} */ ({ busy: false, problem: null }));
  /** @param {() => Promise<any>} action */
  const run = async (action) => {
    if (state.busy) return undefined;
    set({ busy: true, problem: null });
    try {
      const result = await action();
      set({ busy: false, problem: null });
      return result ?? true;
    } catch (problem) {
      set({ busy: false, problem });
      return undefined;
    }
  };
  return { ...state, run, clear: () => set({ busy: false, problem: null }) };
}

/**
 * A question with consequences. @param {{open: boolean, title: string, children?: any, confirm: string, danger?: boolean,
 * disabled?: boolean, busy?: boolean, onConfirm: () => void, onClose: () => void}} props
 */
export function Dialog({ open, title, children, confirm, danger, disabled, busy, onConfirm, onClose }) {
  const ref = useRef(/** @type {HTMLDialogElement|null} */ (null));
  useEffect(() => {
    const dialog = ref.current;
    if (open && dialog && !dialog.open) dialog.showModal();
    if (!open && dialog?.open) dialog.close();
  }, [open]);
  return html`<dialog ref=${ref} aria-labelledby="dialog-title" onClose=${onClose} onCancel=${onClose}>
    ${open && html`<article>
      <header><h2 id="dialog-title">${title}</h2></header>
      ${children}
      <footer>
        <button class="secondary" onClick=${onClose}>Cancel</button>
        <button class=${danger ? "danger" : ""} disabled=${disabled || busy} aria-busy=${busy ? "true" : undefined} onClick=${onConfirm}>${confirm}</button>
      </footer>
    </article>`}
  </dialog>`;
}

const OPERATIONS = /** @type {Record<string, string>} */ ({
  start: "Starting", shutdown: "Shutting down", restart: "Restarting", stop: "Stopping", reinstall: "Reinstalling", create: "Creating",
});

/** How far a long action is. @param {{operation: any}} props */
export function Progress({ operation }) {
  if (!operation) return null;
  const running = operation.state === "running";
  const title = `${OPERATIONS[operation.kind] ?? operation.kind} ${operation.name}`;
  return html`<div class=${`notice ${operation.state === "failed" ? "bad" : running ? "" : "good"}`} role="status">
    <p><strong>${running ? `${title}…` : operation.state === "failed" ? `${title} did not work` : `${title}: done`}</strong></p>
    <p>${operation.error ?? operation.text}</p>
    ${running && html`<progress max="1000" value=${operation.progress_permille || undefined} aria-label=${title}></progress>`}
  </div>`;
}

/** One decision in plain words. @param {{decision: any, withServer?: boolean}} props */
export function Decision({ decision, withServer }) {
  const time = new Date(decision.time_us / 1000);
  const up = (decision.to_bytes ?? 0) > (decision.from_bytes ?? 0);
  const kind = decision.to_bytes == null ? "note" : up ? "up" : "down";
  return html`<li class=${`decision ${kind} ${decision.performed ? "" : "not-done"}`}>
    <time datetime=${time.toISOString()}>${time.toLocaleTimeString("en-GB")}</time>
    <span class="sign" aria-hidden="true">${kind === "note" ? "·" : up ? "▲" : "▼"}</span>
    <span>${withServer && !decision.text?.includes(decision.server) ? html`<strong>${decision.server}</strong> ` : ""}${decision.text}
      ${!decision.performed && html` <em>(observed only)</em>`}
      ${decision.error && html` <em class="bad">${decision.error}</em>`}</span>
  </li>`;
}

/** A labelled field with its help and its mistake. @param {{label: string, help?: any, error?: string|null, children?: any}} props */
export function Field({ label, help, error, children }) {
  return html`<label class="field">${label}${children}
    ${error ? html`<small class="bad" role="alert">${error}</small>` : help && html`<small>${help}</small>`}
  </label>`;
}
