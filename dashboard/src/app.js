// The page as a whole: who is logged in, where they are, and whether the figures are fresh.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { request } from "./api.js";
import { html } from "./html.js";
import { forget, useLive, whoAmI } from "./live.js";
import { Account } from "./pages/account.js";
import { Accounts } from "./pages/accounts.js";
import { Audit } from "./pages/activity.js";
import { Host } from "./pages/host.js";
import { Login } from "./pages/login.js";
import { Server } from "./pages/server.js";
import { Servers } from "./pages/servers.js";
import { go, Link, usePath } from "./router.js";
import { Loading, ProblemBox, useAction } from "./ui.js";

/** @param {{session: any}} props */
function Top({ session }) {
  const { run, busy, problem, clear } = useAction();
  const path = usePath();
  useEffect(clear, [path]);
  const logOut = () => run(async () => {
    // Whoever believes to be logged out must be: a session that could not be ended is said.
    await request("DELETE", "/session").catch((error) => {
      if (error.status !== 401) throw error;
    });
    forget();
    go("/");
  });
  return html`<header class="top"><div>
    <${Link} href="/" class="brand"><img src="/logo.svg" alt="" width="28" height="28" /><span>Aerostat</span><//>
    <nav aria-label="Main"><ul>
      <li><${Link} href="/">Servers<//></li>
      ${session.role === "operator" && html`<li><${Link} href="/host">Host<//></li><li><${Link} href="/accounts">Accounts<//></li><li><${Link} href="/audit">Audit<//></li>`}
    </ul></nav>
    <div class="who"><${Link} href="/account">${session.user}<//><button class="secondary small outline" disabled=${busy} onClick=${logOut}>Log out</button></div>
  </div></header>
  <${ProblemBox} problem=${problem} />`;
}

/** @param {string} path */
function partsOf(path) {
  return path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

/** The page that a path stands for. @param {string} path @param {any} session */
function placeOf(path, session) {
  const parts = partsOf(path);
  if (parts.length === 0) return html`<${Servers} />`;
  if (parts[0] === "servers" && parts[1] && parts.length <= 3) return html`<${Server} name=${parts[1]} tab=${parts[2] ?? ""} />`;
  if (parts[0] === "account") return html`<${Account} />`;
  const operators = /** @type {Record<string, any>} */ ({ host: Host, accounts: Accounts, audit: Audit });
  const Page = parts.length === 1 && session.role === "operator" ? operators[parts[0]] : undefined;
  if (Page) return html`<${Page} />`;
  return html`<main><div class="empty"><h1 tabindex="-1">There is no such page</h1><p><${Link} href="/">All servers<//></p></div></main>`;
}

function App() {
  const live = useLive();
  const path = usePath();
  const shown = useRef(path);
  useEffect(() => {
    // A screen reader begins with the new page, not where the link was.
    if (shown.current !== path) document.querySelector("h1")?.focus({ preventScroll: true });
    shown.current = path;
    const [first, second] = partsOf(path);
    const name = first === "servers" && second ? second : first;
    document.title = name ? `${name[0].toUpperCase()}${name.slice(1)} · Aerostat` : "Aerostat";
  }, [path]);
  if (live.session === undefined)
    return html`<main>${live.error ? html`<div class="empty" role="alert"><h1>The dashboard cannot be reached</h1><p>${live.error.message} It is tried again by itself.</p></div>` : html`<${Loading} rows=${3} tall />`}</main>`;
  if (live.session === null) return html`<${Login} />`;
  return html`<a class="skip" href="#content">Skip to the page</a><${Top} session=${live.session} />
    ${live.connection === "offline" && html`<div class="offline" role="status">Reconnecting… The figures below are the last known ones.</div>`}
    <div id="content" key=${`${live.session.role} ${live.session.user}`}>${placeOf(path, live.session)}</div>`;
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
void whoAmI();
