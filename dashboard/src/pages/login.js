// The way in.
import { useState } from "preact/hooks";
import { request } from "../api.js";
import { html } from "../html.js";
import { whoAmI } from "../live.js";
import { Field, ProblemBox, useAction } from "../ui.js";

export function Login() {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const { run, busy, problem } = useAction();
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    void run(async () => {
      await whoAmI(await request("POST", "/session", { user, password }));
    });
  };
  return html`<main class="login">
    <img src="/logo.svg" alt="" width="56" height="56" />
    <h1 tabindex="-1">Server Dashboard</h1>
    <p>See what your servers use, and decide how their memory is handled.</p>
    <form onSubmit=${submit}>
      <${Field} label="User name"><input name="user" autocomplete="username" required autocapitalize="none" spellcheck=${false} value=${user} onInput=${(/** @type {any} */ e) => setUser(e.target.value)} /><//>
      <${Field} label="Password"><input name="password" type="password" autocomplete="current-password" required value=${password} onInput=${(/** @type {any} */ e) => setPassword(e.target.value)} /><//>
      <${ProblemBox} problem=${problem} />
      <button type="submit" aria-busy=${busy ? "true" : undefined} disabled=${busy}>Log in</button>
    </form>
  </main>`;
}
