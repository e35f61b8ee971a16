// Figures as people read them. Sizes are bytes, times are microseconds unless a name says otherwise.

const GIB = 2 ** 30;
const MIB = 2 ** 20;
// Made once: a page of 200 servers formats a thousand sizes.
const WHOLE = new Intl.NumberFormat("en");
const NAMES = new Intl.Collator("en", { numeric: true });

/** Orders names as people do: web-2 before web-10. @param {string} a @param {string} b */
export const byName = (a, b) => NAMES.compare(a, b);

/** "1.4 GiB"; "–" while nothing is known. @param {number|null|undefined} bytes */
export function gib(bytes) {
  if (bytes == null) return "–";
  if (bytes > 0 && bytes < 0.095 * GIB) return `${Math.max(1, Math.round(bytes / MIB))} MiB`;
  return `${(bytes / GIB).toFixed(1)} GiB`;
}

/** "1,503,238,553 bytes", for who points at a figure. @param {number|null|undefined} bytes */
export function exact(bytes) {
  return bytes == null ? "not known yet" : `${WHOLE.format(bytes)} bytes`;
}

/** "38 ms", "1.2 s", "3 min". @param {number|null|undefined} us */
export function duration(us) {
  if (us == null) return "–";
  const seconds = us / 1e6;
  if (seconds < 1) return `${Math.round(us / 1000)} ms`;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** "just now", "4 min ago". @param {number} unixUs @param {number} [nowMs] */
export function ago(unixUs, nowMs = Date.now()) {
  const us = nowMs * 1000 - unixUs;
  return us < 5e6 ? "just now" : `${duration(us)} ago`;
}

/** The clock time of the day, to the second. @param {number} unixUs */
export function clock(unixUs) {
  return new Date(unixUs / 1000).toLocaleTimeString("en-GB");
}

/** Date and time. @param {number} unixUs */
export function moment(unixUs) {
  return new Date(unixUs / 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

/** A size typed by a person, in bytes; null when it is none. @param {string} text */
export function parseSize(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?\s*$/i.exec(text);
  if (!match) return null;
  const power = { "": 0, k: 1, m: 2, g: 3, t: 4 }[/** @type {""|"k"|"m"|"g"|"t"} */ (match[2].toLowerCase())];
  const bytes = Math.round(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** What a server's state is called on a card. @type {Record<string, string>} */
export const STATES = {
  off: "Off", starting: "Starting", running: "Running", rebooting: "Rebooting", paused: "Paused",
  migrating: "Moving to another host", unresponsive: "Not answering",
};
