// A person's own account: password and tokens.
import { useState } from "preact/hooks";
import { request } from "../api.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Field, ProblemBox, useAction } from "../ui.js";
import { Tokens } from "./accounts.js";

/** @param {number} tokens */
const tokensLeft = (tokens) => (tokens === 0 ? "" : tokens === 1 ? "1 token is still valid." : `${tokens} tokens are still valid.`);

/** @param {{onChanged: () => void}} props */
function Password({ onChanged }) {
  const { session } = useLive();
  const [form, set] = useState({ current: "", password: "", again: "", revoke: false });
  const [done, setDone] = useState(/** @type {{tokens: number}|null} */ (null));
  const { run, busy, problem } = useAction();
  const edit = (/** @type {string} */ member) => (/** @type {any} */ event) => set({ ...form, [member]: event.target.value });
  const differs = form.again !== "" && form.again !== form.password ? "The two differ." : null;
  /** @param {SubmitEvent} event */
  const save = (event) => {
    event.preventDefault();
    void run(async () => {
      const account = await request("PUT", `/users/${encodeURIComponent(session?.user ?? "")}/password`,
        { current: form.current, password: form.password, revoke_tokens: form.revoke });
      set({ current: "", password: "", again: "", revoke: false });
      setDone(account);
      onChanged();
    });
  };
  return html`<section class="panel"><h2>Password</h2><form onSubmit=${save}>
    <input class="sr" type="text" autocomplete="username" value=${session?.user} readonly tabindex="-1" aria-hidden="true" />
    <${Field} label="Present password"><input required type="password" autocomplete="current-password" value=${form.current} onInput=${edit("current")} /><//>
    <div class="two"><${Field} label="New password"><input required type="password" autocomplete="new-password" value=${form.password} onInput=${edit("password")} /><//>
    <${Field} label="New password again" error=${differs}><input required type="password" autocomplete="new-password" value=${form.again} onInput=${edit("again")} /><//></div>
    <label><input type="checkbox" checked=${form.revoke} onChange=${(/** @type {any} */ event) => set({ ...form, revoke: event.target.checked })} /> Revoke my tokens, too</label>
    <${ProblemBox} problem=${problem} />${done && html`<p class="good" role="status">Changed. Other sessions have ended. ${tokensLeft(done.tokens)}</p>`}
    <button type="submit" disabled=${busy || form.again !== form.password}>Change password</button></form></section>`;
}

export function Account() {
  const [changes, setChanges] = useState(0); // the list of tokens may be another one after it
  return html`<main><h1 tabindex="-1">Your account</h1><${Password} onChanged=${() => setChanges((n) => n + 1)} /><${Tokens} key=${changes} /></main>`;
}
