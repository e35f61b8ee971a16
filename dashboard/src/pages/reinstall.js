// Making a server anew on KVM.
import { useState } from "preact/hooks";
import { get, request, serverPath } from "../api.js";
import { gib } from "../format.js";
import { html } from "../html.js";
import { learnOperation, operationOf } from "../live.js";
import { Field, Loading, ProblemBox, Progress, Size, useAction, useLoaded } from "../ui.js";

/** @param {{server: any}} props */
export function Reinstall({ server }) {
  const images = useLoaded(() => get("/images"), []);
  const [image, setImage] = useState("");
  const [typed, setTyped] = useState("");
  const { run, busy, problem } = useAction();
  const operation = operationOf(server.name);
  const running = operation?.state === "running";
  const list = images.data?.images ?? [];
  const fits = (/** @type {any} */ one) => one.minimum_bytes == null || one.minimum_bytes <= server.maximum_bytes;
  const lxc = server.kind === "lxc";
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    void run(async () => {
      learnOperation(await request("POST", `${serverPath(server.name)}/reinstall`, { image, confirm: typed }));
      setTyped("");
    });
  };
  return html`<section class="panel">
    <h2>${lxc ? "Reinstall on KVM" : "Reinstall"}</h2>
    ${operation?.kind === "reinstall" && html`<${Progress} operation=${operation} />`}
    ${lxc && html`<p>This server still runs on LXC. Reinstalling makes it anew as a KVM virtual machine, with ballooning, and with the choice to disable it.</p>`}
    <div class="two">
      <div><h3>Kept</h3><ul><li>its name, owner and weight</li><li>its memory: <${Size} bytes=${server.maximum_bytes} /></li><li>the old disk, set aside until the operator removes it for good</li></ul></div>
      <div><h3>Lost from view</h3><ul><li>everything on its disk: programs, files, settings. Copy what you need first.</li><li>connections: it is not reachable while it is made anew</li></ul></div>
    </div>
    <p class="quiet">If any step fails, the old server comes back as it was.</p>
    ${!images.data && !images.problem && html`<${Loading} rows=${2} />`}
    <${ProblemBox} problem=${images.problem} retry=${images.again} />
    ${images.data && list.length === 0 && html`<div class="notice"><p>There is no image to install from yet. The operator of this host has to provide one.</p></div>`}
    ${list.length > 0 && html`<form onSubmit=${submit}>
      <fieldset disabled=${running || busy}><legend>Choose an image</legend>
        ${list.map((/** @type {any} */ one) => html`<label class="choice"><input type="radio" name="image" value=${one.name} checked=${image === one.name} disabled=${!fits(one)} onChange=${() => setImage(one.name)} />
          <span><strong>${one.title}</strong>${one.minimum_bytes != null && html`<small>needs at least ${gib(one.minimum_bytes)}${fits(one) ? "" : ": more than this server has"}</small>`}</span></label>`)}
      </fieldset>
      <${Field} label=${html`Type <strong>${server.name}</strong> to confirm`}><input name="confirm" autocomplete="off" autocapitalize="none" spellcheck=${false} value=${typed} disabled=${running || busy} onInput=${(/** @type {any} */ e) => setTyped(e.target.value)} /><//>
      <${ProblemBox} problem=${problem} />
      <button type="submit" class="danger" disabled=${!image || typed !== server.name || running || busy} aria-busy=${busy ? "true" : undefined}>${lxc ? "Reinstall on KVM" : "Reinstall"}</button>
    </form>`}
  </section>`;
}
