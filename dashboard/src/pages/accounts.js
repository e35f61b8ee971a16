// Accounts, who owns which server, and tokens.
import { useState } from "preact/hooks";
import { get, request, serverPath } from "../api.js";
import { moment } from "../format.js";
import { html } from "../html.js";
import { learnServer, useLive } from "../live.js";
import { Dialog, Field, Loading, ProblemBox, useAction, useLoaded } from "../ui.js";

/** @param {{users: any}} props */
function NewUser({ users }) {
  const [form, set] = useState({ name: "", role: "owner", password: "" });
  const { run, busy, problem } = useAction();
  const edit = (/** @type {string} */ member) => (/** @type {any} */ event) => set({ ...form, [member]: event.target.value });
  /** @param {SubmitEvent} event */
  const add = (event) => {
    event.preventDefault();
    void run(async () => {
      await request("POST", "/users", form);
      set({ name: "", role: "owner", password: "" });
      users.again();
    });
  };
  return html`<form onSubmit=${add}><h3>New account</h3><div class="three">
    <${Field} label="Name"><input required autocomplete="off" autocapitalize="none" value=${form.name} onInput=${edit("name")} /><//>
    <${Field} label="Role"><select value=${form.role} onChange=${edit("role")}><option value="owner">Owner</option><option value="operator">Operator</option></select><//>
    <${Field} label="Password"><input required type="password" autocomplete="new-password" value=${form.password} onInput=${edit("password")} /><//></div>
    <${ProblemBox} problem=${problem} /><button type="submit" disabled=${busy}>Add account</button></form>`;
}

function Users() {
  const { session } = useLive();
  const users = useLoaded(() => get("/users"), []);
  const [removing, setRemoving] = useState(/** @type {string|null} */ (null));
  const { run, busy, problem } = useAction();
  if (!users.data && !users.problem) return html`<${Loading} rows=${3} />`;
  return html`<section class="panel"><h2>Accounts</h2><${ProblemBox} problem=${users.problem} retry=${users.again} />
    <div class="scroll"><table><thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Servers</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
    <tbody>${(users.data?.users ?? []).map((/** @type {any} */ user) => html`<tr key=${user.name}><th scope="row">${user.name}${user.name === session?.user ? " (you)" : ""}</th><td>${user.role}</td><td>${user.servers}</td>
      <td>${user.name !== session?.user && html`<button class="secondary small" aria-label=${`Remove ${user.name}`} onClick=${() => setRemoving(user.name)}>Remove</button>`}</td></tr>`)}</tbody></table></div>
    <${NewUser} users=${users} />
    <${Dialog} open=${removing != null} title=${`Remove the account ${removing}?`} confirm="Remove" danger busy=${busy} onClose=${() => setRemoving(null)}
      onConfirm=${() => run(async () => { await request("DELETE", `/users/${encodeURIComponent(removing ?? "")}`); setRemoving(null); users.again(); })}>
      <p>Its sessions and tokens end at once. Its servers stay, with no owner.</p><${ProblemBox} problem=${problem} /><//>
  </section>`;
}

/** @param {{server: any, names: string[]}} props */
function OwnerRow({ server, names }) {
  const { run, busy, problem } = useAction();
  const change = (/** @type {any} */ event) => {
    const user = event.target.value || null;
    void run(async () => {
      await request("PUT", `${serverPath(server.name)}/owner`, { user });
      learnServer({ name: server.name, owner: user });
    });
  };
  return html`<tr><th scope="row">${server.name}</th><td><select aria-label=${`Owner of ${server.name}`} value=${server.owner ?? ""} disabled=${busy} onChange=${change}>
    <option value="">nobody</option>${names.map((name) => html`<option value=${name}>${name}</option>`)}</select><${ProblemBox} problem=${problem} /></td></tr>`;
}

function Owners() {
  const { servers } = useLive();
  const users = useLoaded(() => get("/users"), []);
  const names = (users.data?.users ?? []).map((/** @type {any} */ user) => user.name);
  if (!servers?.size) return null;
  return html`<section class="panel"><h2>Who owns which server</h2><table class="owners"><thead><tr><th scope="col">Server</th><th scope="col">Owner</th></tr></thead>
    <tbody>${[...servers.values()].map((server) => html`<${OwnerRow} key=${server.name} server=${server} names=${names} />`)}</tbody></table></section>`;
}

export function Tokens() {
  const tokens = useLoaded(() => get("/tokens"), []);
  const [label, setLabel] = useState("");
  const [made, setMade] = useState(/** @type {any} */ (null));
  const { run, busy, problem } = useAction();
  /** @param {SubmitEvent} event */
  const add = (event) => {
    event.preventDefault();
    void run(async () => {
      setMade(await request("POST", "/tokens", { label }));
      setLabel("");
      tokens.again();
    });
  };
  return html`<section class="panel"><h2>Tokens</h2><p class="quiet">For programs that use the interface in your name. A token is shown once, when it is made.</p>
    ${made && html`<div class="notice good" role="status"><p>Copy it now; it is not shown again:</p><p><code class="secret">${made.token}</code></p><button class="secondary small" onClick=${() => setMade(null)}>I have it</button></div>`}
    <${ProblemBox} problem=${tokens.problem} retry=${tokens.again} />
    ${(tokens.data?.tokens ?? []).length > 0 && html`<div class="scroll"><table><thead><tr><th scope="col">Label</th><th scope="col">Account</th><th scope="col">Made</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${tokens.data.tokens.map((/** @type {any} */ token) => html`<tr key=${token.id}><td>${token.label}</td><td>${token.user}</td><td>${moment(token.created_unix_us)}</td>
        <td><button class="secondary small" aria-label=${`Revoke ${token.label}`} disabled=${busy} onClick=${() => run(async () => { await request("DELETE", `/tokens/${token.id}`); tokens.again(); })}>Revoke</button></td></tr>`)}</tbody></table></div>`}
    <form class="inline" onSubmit=${add}><${Field} label="What is it for?"><input required value=${label} placeholder="backup script" onInput=${(/** @type {any} */ e) => setLabel(e.target.value)} /><//><button type="submit" disabled=${busy}>Make a token</button></form>
    <${ProblemBox} problem=${problem} /></section>`;
}

export const Accounts = () => html`<main><h1 tabindex="-1">Accounts</h1><${Users} /><${Owners} /><${Tokens} /></main>`;
