// What people do on the dashboard, in a real browser on real servers.
//   node tests/flows.mjs FLOW '{"url": …, "owner": {"name", "password"}, "operator": …, …}'
// Prints each step as it is done; exit status 1 with the reason and a picture of the page where one fails.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { checkAccessible, listen, logIn, startBrowser } from "./browser.mjs";

const [flow, text] = process.argv.slice(2);
const host = JSON.parse(text);
const SOON_MS = 15000;
/** A restart of a guest, or its first boot, without hardware's help. */
const BOOT_MS = 90000;

function step(said) {
  console.log(`  ${said}`);
}

/** "0.4 GiB" or "120 MiB" in MiB. @param {string} size */
function mib(size) {
  const match = /([\d.]+)\s*(MiB|GiB)/.exec(size);
  assert(match, `no size: ${size}`);
  return Number(match[1]) * (match[2] === "GiB" ? 1024 : 1);
}

/** The figure that stands beside a label. @param {any} page @param {string} label */
async function figure(page, label) {
  return mib(await page.locator("dl.figures div").filter({ hasText: label }).locator("dd").first().innerText());
}

/** @param {any} page @param {() => Promise<boolean>} what @param {string} said @param {number} [ms] */
async function until(page, what, said, ms = SOON_MS) {
  const end = Date.now() + ms;
  for (;;) {
    if (await what()) return;
    if (Date.now() > end) throw new Error(`did not happen in ${ms / 1000} s: ${said}`);
    await page.waitForTimeout(200);
  }
}

/** @param {any} page @param {string} name @param {string} [tab] */
async function open(page, name, tab) {
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Servers" }).click();
  await page.getByRole("link", { name, exact: true }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  if (tab) await page.getByRole("navigation", { name: "About this server" }).getByRole("link", { name: tab }).click();
}

/** Every page that @role sees, in light and in dark. @param {any} page */
async function checkAll(page, paths) {
  for (const scheme of /** @type {const} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const path of paths) {
      await page.goto(host.url + path);
      await page.locator("h1").waitFor();
      await page.locator(".loading").first().waitFor({ state: "detached" });
      await page.waitForTimeout(400);
      await checkAccessible(page, `${path} (${scheme})`);
    }
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

const FLOWS = {
  /** An owner sees memory move, as it moves. */
  async watch(page) {
    await logIn(page, host.url, host.owner);
    await open(page, host.kvm);
    const before = await figure(page, "In use");
    console.log("READY");
    await until(page, async () => (await figure(page, "In use")) >= before + host.grows_mib - 60, "the figure in use grows", 60000);
    step(`in use went from ${before} to ${await figure(page, "In use")} MiB without a reload`);
    await page.getByRole("heading", { name: "What was decided" }).waitFor();
    await until(page, async () => (await page.locator("ul.decisions li").count()) > 0, "decisions in plain sentences");
    step(`decided: ${(await page.locator("ul.decisions li").first().innerText()).replaceAll("\n", " ")}`);
  },

  /** Settings → Disable ballooning, the banner, Restart now, off and guaranteed. */
  async disable(page) {
    await logIn(page, host.url, host.owner);
    await open(page, host.kvm, "Settings");
    const toggle = page.getByRole("switch", { name: /Disable ballooning/ });
    assert.equal(await toggle.isChecked(), false);
    await page.getByText("Recommended: leave ballooning on").waitFor();
    await toggle.click();
    await page.getByText("applies at the next restart").waitFor();
    step("the banner says that it applies at the next restart");
    await checkAccessible(page, "settings, pending");
    await page.getByRole("button", { name: "Restart now" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("fixed").waitFor();
    await checkAccessible(page, "the restart dialog");
    await dialog.getByRole("button", { name: "Restart now" }).click();
    await page.getByRole("progressbar").waitFor();
    step("it is being restarted");
    await page.getByText("Off, guaranteed.").waitFor({ timeout: BOOT_MS });
    assert.equal(await toggle.isChecked(), true);
    step("off, guaranteed");
    await checkAccessible(page, "settings, off");
  },

  /** The LXC server: why, and the way to KVM. */
  async reinstall(page) {
    await logIn(page, host.url, host.owner);
    await open(page, host.lxc, "Settings");
    await page.getByText("This server still runs on LXC").waitFor();
    assert.equal(await page.getByRole("switch").count(), 0);
    step("the page says why there is no such option");
    await checkAccessible(page, "settings of an LXC server");
    await page.getByRole("button", { name: "Reinstall on KVM…" }).click();
    const button = page.getByRole("button", { name: "Reinstall on KVM", exact: true });
    await page.getByRole("radio", { name: new RegExp(host.image_title) }).check();
    assert.equal(await button.isDisabled(), true);
    await page.getByLabel(/to confirm/).fill(`${host.lxc}x`);
    assert.equal(await button.isDisabled(), true, "a wrong name is refused");
    await page.getByLabel(/to confirm/).fill(host.lxc);
    await checkAccessible(page, "reinstall");
    await button.click();
    await page.getByRole("status").filter({ hasText: `Reinstalling ${host.lxc}` }).first().waitFor();
    step("live progress is shown");
    await page.locator(".tags").getByText("KVM").waitFor({ timeout: BOOT_MS });
    await page.locator(".tags").getByText("Running").waitFor({ timeout: BOOT_MS });
    await page.getByRole("navigation", { name: "About this server" }).getByRole("link", { name: "Settings" }).click();
    await page.getByRole("switch", { name: /Disable ballooning/ }).waitFor({ timeout: BOOT_MS });
    step("it runs on KVM, with the option there");
  },

  /** Somebody else's server does not exist. */
  async foreign(page) {
    await logIn(page, host.url, host.owner);
    assert.equal(await page.getByRole("link", { name: host.foreign, exact: true }).count(), 0);
    for (const path of [`/servers/${host.foreign}`, `/servers/${host.foreign}/settings`, "/host", "/accounts", "/audit"]) {
      await page.goto(host.url + path);
      await page.getByText(/There is no such/).waitFor();
    }
    const status = await page.evaluate(async (name) => {
      const answers = await Promise.all([`/servers/${name}`, "/servers/nobody-at-all", "/users", "/audit?limit=5"].map((path) => fetch(`/api/v1${path}`)));
      return answers.map((answer) => answer.status);
    }, host.foreign);
    assert.deepEqual(status.slice(0, 2), [404, 404]);
    assert.equal(status[2], 403);
    step("a foreign server is not there, by page or by address");
  },

  /** An operator: the host, a weight after its preview, observe and back. */
  async operator(page) {
    await logIn(page, host.url, host.operator);
    await page.getByRole("link", { name: "Host", exact: true }).click();
    await page.getByRole("heading", { name: "Who holds the memory" }).waitFor();
    await page.locator("table.servers").getByRole("link", { name: host.foreign, exact: true }).waitFor();
    await page.locator("canvas").first().waitFor();
    step("the host page shows who holds what");
    await open(page, host.foreign, "Settings");
    await page.getByLabel("Weight").fill("300");
    await page.getByRole("heading", { name: "What this would do now" }).waitFor();
    await until(page, async () => !/Working out/.test(await page.locator(".preview").innerText()), "a preview");
    step(`the preview: ${(await page.locator(".preview").innerText()).replaceAll("\n", " ")}`);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    await page.reload();
    assert.equal(await page.getByLabel("Weight").inputValue(), "300");
    step("the weight is kept");
    await page.getByRole("link", { name: "Host", exact: true }).click();
    await page.getByRole("button", { name: "Switch to observe" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Switch to observe" }).click();
    await page.getByRole("heading", { name: "Mode: observe" }).waitFor();
    await page.getByRole("button", { name: "Switch to manage" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Switch to manage" }).click();
    await page.getByRole("heading", { name: "Mode: manage" }).waitFor();
    step("observe, and back to manage");
    await page.getByRole("link", { name: "Audit", exact: true }).click();
    await page.getByRole("cell", { name: "mode" }).first().waitFor();
    step("the audit has it");
  },

  /** Whoever answers faster than the browser draws is heard all the same. */
  async prompt(page) {
    await page.addInitScript(() => {
      window.fetch = () => Promise.resolve(new Response(JSON.stringify({ kind: "not-logged-in", detail: "" }), { status: 401 }));
    });
    await page.goto(host.url);
    await page.getByLabel("User name").waitFor();
    step("an answer before the first picture shows the way in");
  },

  /** A session that ends while the stream of events is refused, as after a night's sleep. */
  async expired(page) {
    let refused = 0;
    await page.route("**/api/v1/events", (route) => {
      refused++;
      return route.fulfill({ status: 401, contentType: "application/json", body: "{}" });
    });
    await logIn(page, host.url, host.owner);
    await until(page, async () => refused >= 3, "the stream is tried again");
    await page.context().clearCookies();
    await page.getByLabel("User name").waitFor();
    step("the page asks who is there");
  },

  /** Two tabs, and two accounts one after the other. */
  async another(page) {
    await logIn(page, host.url, host.operator);
    await page.getByText(host.foreign, { exact: true }).first().waitFor();
    await page.route("**/api/v1/session", (route) => (route.request().method() === "DELETE" ? route.fulfill({ status: 503, contentType: "application/json", body: '{"kind": "unavailable", "detail": "the daemon is away"}' }) : route.continue()));
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText("the daemon is away").waitFor();
    step("a session that could not be ended is said, and stays");
    await page.unroute("**/api/v1/session");
    const other = await page.context().newPage();
    await other.goto(host.url);
    await other.getByRole("button", { name: "Log out" }).click();
    await other.getByLabel("User name").waitFor();
    await page.getByLabel("User name").waitFor();
    step("logged out in one tab is logged out in the other");
    await page.route("**/api/v1/servers", () => {}); // never answered
    await page.getByLabel("User name").fill(host.owner.name);
    await page.getByLabel("Password").fill(host.owner.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("button", { name: "Log out" }).waitFor();
    await page.waitForTimeout(1500);
    assert.equal(await page.getByText(host.foreign, { exact: true }).count(), 0);
    step("nothing of the account before is there");
    await page.unroute("**/api/v1/servers");
    const hide = (/** @type {boolean} */ hidden) => page.evaluate((now) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => now });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await hide(true);
    await other.goto(host.url);
    await other.getByRole("button", { name: "Log out" }).click();
    await logIn(other, host.url, host.operator);
    await page.waitForTimeout(500);
    assert.equal(await page.getByRole("link", { name: host.owner.name, exact: true }).count(), 1);
    await hide(false);
    await page.getByRole("link", { name: host.operator.name, exact: true }).waitFor();
    await page.getByText(host.foreign, { exact: true }).first().waitFor();
    step("a tab that nobody saw asks who is there when it is seen again");
  },

  /** Every page, light and dark, for axe. */
  async accessible(page) {
    await page.goto(host.url);
    await page.getByLabel("User name").waitFor();
    await checkAccessible(page, "login");
    const server = `/servers/${host.foreign}`;
    await logIn(page, host.url, host.operator);
    const tabs = ["", "/settings", "/power", "/reinstall", "/activity"].map((tab) => server + tab);
    await checkAll(page, ["/", ...tabs, "/host", "/accounts", "/audit", "/account", "/nothing-here"]);
    step("axe finds nothing on any page, light or dark");
  },

  /** From logging in to figures on the page. */
  async usable(page) {
    // By the page's own clock: from the login's answer until the frame after the last card.
    await page.addInitScript((cards) => {
      const observer = new MutationObserver(() => {
        if (document.querySelectorAll("article.card").length < cards) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => { window.usableAt = performance.now(); }));
      });
      document.addEventListener("DOMContentLoaded", () => observer.observe(document.body, { childList: true, subtree: true }));
    }, host.cards);
    await page.goto(host.url);
    await page.getByLabel("User name").fill(host.operator.name);
    await page.getByLabel("Password").fill(host.operator.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.waitForFunction(() => window.usableAt);
    const taken = await page.evaluate(() => {
      const logins = performance.getEntriesByType("resource").filter((one) => one.name.endsWith("/api/v1/session"));
      return window.usableAt - logins[logins.length - 1].responseEnd;
    });
    console.log(`USABLE_MS ${Math.round(taken)}`);
  },

  /** The daemon goes and comes back: nothing is lost, and the page says so. Whoever runs this restarts it at READY. */
  async reconnect(page) {
    await logIn(page, host.url, host.owner);
    await open(page, host.kvm);
    console.log("READY");
    await page.getByText("Reconnecting").waitFor({ timeout: 20000 });
    assert.notEqual(await page.locator("dl.figures dd").first().innerText(), "–");
    step("it says that it reconnects, and keeps the last figures");
    await page.getByText("Reconnecting").waitFor({ state: "detached", timeout: 40000 });
    await page.getByRole("heading", { level: 1, name: host.kvm }).waitFor();
    step("and it is back by itself");
  },
};

const browser = await startBrowser();
const context = await browser.context({ viewport: { width: host.width ?? 1280, height: 900 }, reducedMotion: "reduce" });
const page = await context.newPage();
page.setDefaultTimeout(SOON_MS);
const complaints = listen(page);
let status = 0;
try {
  await FLOWS[flow](page);
  if (complaints.length && flow !== "reconnect") throw new Error(`the page complained: ${complaints.join("; ")}`);
} catch (error) {
  status = 1;
  console.log(`FAILED ${flow}: ${error.message}`);
  if (host.pictures) {
    const picture = `${host.pictures}/${flow}.png`;
    writeFileSync(picture, await page.screenshot({ fullPage: true }));
    console.log(`the page as it was: ${picture}`);
  }
  console.log((await page.locator("main").first().innerText().catch(() => "")).slice(0, 1500));
}
await browser.close();
process.exit(status);
