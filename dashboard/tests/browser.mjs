// What flows and pictures share: Debian's Chromium, logging in, and axe.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
];
const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** A browser with a profile of its own: {context(options), close()}. */
export async function startBrowser() {
  const profile = mkdtempSync(join(tmpdir(), "aerostat-chromium-"));
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: ARGUMENTS });
  return {
    /** @param {object} [options] */
    context: (options) => browser.newContext({ locale: "en-GB", timezoneId: "UTC", bypassCSP: false, ...options }),
    close: async () => {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Throws when axe finds anything on the page. Its script is evaluated by the browser's own debugger, past the page's policy. */
export async function checkAccessible(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async (tags) => {
    const result = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return result.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
  }, RULES);
  if (found.length) throw new Error(`axe on ${where}:\n  ${found.join("\n  ")}`);
}

/** Collects what a page complains of: exceptions, and whatever its own policy or the server refused. */
export function listen(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (401|403|404|409|429|503|504|507)/.test(message.text())) complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(page.url() === "about:blank" ? request.url() : page.url()).origin)) complaints.push(`asks elsewhere: ${request.url()}`);
  });
  return complaints;
}

/** @param {any} page @param {string} url @param {{name: string, password: string}} account */
export async function logIn(page, url, account) {
  await page.goto(url);
  await page.getByLabel("User name").fill(account.name);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Servers" }).waitFor();
}
