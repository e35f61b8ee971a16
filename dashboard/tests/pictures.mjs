// Pictures of every page, light and dark, desktop and phone, of a host that really runs.
//   node tests/pictures.mjs FOLDER '{"url": …, "owner": …, "operator": …, …}'
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkAccessible, logIn, startBrowser } from "./browser.mjs";

const [folder, text] = process.argv.slice(2);
const host = JSON.parse(text);
mkdirSync(folder, { recursive: true });

const SIZES = /** @type {const} */ ({ desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } });
const server = `/servers/${host.kvm}`;
const OWNER = [
  ["servers", "/"], ["server", server], ["settings", `${server}/settings`], ["power", `${server}/power`],
  ["reinstall", `${server}/reinstall`], ["activity", `${server}/activity`], ["account", "/account"],
  ...(host.lxc ? [["settings-lxc", `/servers/${host.lxc}/settings`], ["reinstall-lxc", `/servers/${host.lxc}/reinstall`]] : []),
];
const OPERATOR = [["host", "/host"], ["settings-operator", `${server}/settings`], ["accounts", "/accounts"], ["audit", "/audit"]];

const browser = await startBrowser();

async function take(page, name) {
  // Charts and figures come in with the first events.
  await page.waitForTimeout(1500);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  console.log(`${name}.png`);
}

for (const [device, viewport] of Object.entries(SIZES))
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const name = (/** @type {string} */ what) => `${what}-${device}-${colorScheme}`;
    for (const [account, pages] of /** @type {[any, string[][]][]} */ ([[host.owner, OWNER], [host.operator, OPERATOR]])) {
      const context = await browser.context({ viewport, colorScheme, reducedMotion: "reduce" });
      const page = await context.newPage();
      if (account === host.owner) {
        await page.goto(host.url);
        await page.getByLabel("User name").waitFor();
        await take(page, name("login"));
      }
      await logIn(page, host.url, account);
      for (const [what, path] of pages) {
        await page.goto(host.url + path);
        await page.locator("h1").waitFor();
        await take(page, name(what));
        if (device === "phone") await checkAccessible(page, name(what));
      }
      await context.close();
    }
  }
await browser.close();
