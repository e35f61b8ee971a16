// What the page knows right now, kept up to date by the stream of events. Everything shown is read from here, so that two
// places never show two different figures.
import { useLayoutEffect, useState } from "preact/hooks";
import { events, get } from "./api.js";

/** @typedef {import("./types").Live} Live */

const DECISIONS_KEPT = 300;
/** Events come in bursts; the page is drawn at most this often. */
const DRAW_MS = 200;
/** What happened between the first answers and the first events is asked for once the page stands. */
const SETTLED_MS = 1000;
/** What could not be asked is asked again. */
const RETRY_MS = 2000;

/** @returns {Omit<Live, "session" | "gaps">} */
const nothing = () => ({ connection: "connecting", host: null, servers: null, decisions: [], operations: new Map(), error: null });
/** @type {Live} */
const live = { session: undefined, gaps: 0, ...nothing() }; // undefined: not asked yet; null: nobody is logged in
/** @type {Set<() => void>} */
const watchers = new Set();
let drawTimer = 0;
let drawnAt = -DRAW_MS;
let endEvents = () => {};
/** Questions under way carry the number of their kind: an answer to an older one than the newest is of no use any more. */
let asked = 0;
let loads = 0;
let askTimer = 0;
let loadTimer = 0;
/** The stream has left something out since facts were last asked for. */
let lost = false;
/** What is told while facts are on their way, which may be older. @type {[string, any][] | null} */
let meanwhile = null;

function draw() {
  clearTimeout(drawTimer);
  drawTimer = 0;
  drawnAt = performance.now();
  for (const watcher of watchers) watcher();
}

/** The first of a burst is drawn at once, what follows within DRAW_MS together. */
function changed() {
  if (!drawTimer) drawTimer = window.setTimeout(draw, Math.max(0, drawnAt + DRAW_MS - performance.now()));
}

/** Redraws the calling component whenever something changes. @returns {Live} */
export function useLive() {
  const [, set] = useState(0);
  // Listens from the moment the component stands: an effect would wait for its first picture, and what was answered
  // before that would stay unseen.
  useLayoutEffect(() => {
    const watcher = () => set((n) => n + 1);
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }, []);
  return live;
}

/** @returns {number} for the inputs of whatever an event would have told of */
export const gaps = () => live.gaps;

/** Events have been missed: decisions are those of the answers again, until new ones come. */
function gap() {
  live.decisions = [];
  live.gaps++;
}

/** @param {any} session */
const isSame = (session) => live.session?.user === session.user && live.session?.role === session.role;

/** Before all are known, one alone would pass for all. @param {any} server */
function takeServer(server) {
  if (live.servers) live.servers = new Map(live.servers).set(server.name, server);
}

/** @param {string} type @param {any} data */
function takeFact(type, data) {
  if (type === "host") live.host = data;
  if (type === "server") takeServer(data);
  if (type === "gone" && live.servers) {
    live.servers = new Map(live.servers);
    live.servers.delete(data.name);
  }
  if (type === "operation") live.operations = new Map(live.operations).set(data.id, data);
}

/** @param {string} type @param {any} data */
function take(type, data) {
  meanwhile?.push([type, data]);
  takeFact(type, data);
  if (type === "decision") live.decisions = [data, ...live.decisions].slice(0, DECISIONS_KEPT);
  if (type === "lost") {
    // One load at a time: losses come in runs, and each load drops the answers of the one before.
    lost = true;
    if (!meanwhile && !loadTimer) void load();
  }
  if (type === "end") void whoAmI();
  changed();
}

/** @param {number} ms */
function loadIn(ms) {
  clearTimeout(loadTimer);
  loadTimer = window.setTimeout(() => {
    loadTimer = 0;
    void load();
  }, ms);
}

/** All facts anew: at the beginning, and after a gap in the stream. */
export async function load() {
  const mine = ++loads;
  clearTimeout(loadTimer);
  loadTimer = 0;
  meanwhile = [];
  const missed = lost;
  lost = false;
  try {
    const [host, list, operations] = await Promise.all([get("/host"), get("/servers"), get("/operations")]);
    if (mine !== loads) return;
    live.host = host;
    live.servers = new Map(list.servers.map((/** @type {any} */ server) => [server.name, server]));
    live.operations = new Map(operations.operations.map((/** @type {any} */ one) => [one.id, one]));
    live.error = null;
    for (const [type, data] of meanwhile) takeFact(type, data);
    if (missed) gap();
    if (lost) loadIn(SETTLED_MS);
  } catch (error) {
    if (mine !== loads) return;
    const problem = /** @type {import("./api.js").Problem} */ (error);
    if (problem.status === 401) return forget();
    live.error = problem;
    lost ||= missed;
    loadIn(RETRY_MS);
  }
  meanwhile = null;
  draw(); // somebody waits for this
}

function follow() {
  endEvents();
  let first = true;
  endEvents = events(take, (state) => {
    if (state === "online") {
      // Another account may have logged in meanwhile, in another tab.
      if (first) loadIn(SETTLED_MS);
      else if (live.connection === "offline") void whoAmI();
      first = false;
    }
    live.connection = state;
    changed();
  }, isSame);
}

function begin() {
  gap();
  if (!document.hidden) follow();
  void load();
}

// A browser has few connections to one server: a page that nobody sees leaves its own to those that are seen.
document.addEventListener("visibilitychange", () => {
  if (!live.session) return;
  if (document.hidden) endEvents();
  else void whoAmI();
});

/** Begins to follow events when somebody is logged in. @param {any} [session] what a login has answered; else it is asked for */
export async function whoAmI(session) {
  const mine = ++asked;
  clearTimeout(askTimer);
  try {
    const found = session ?? (await get("/session"));
    if (mine !== asked) return;
    if (!isSame(found)) Object.assign(live, nothing()); // nothing of another account stays
    live.session = found;
    begin();
  } catch (error) {
    if (mine !== asked) return;
    const problem = /** @type {import("./api.js").Problem} */ (error);
    if (problem.status === 401) return forget();
    live.error = problem;
    askTimer = window.setTimeout(() => void whoAmI(), RETRY_MS);
  }
  draw();
}

/** Nobody is logged in any more: nothing of theirs stays on the page, or comes to it. */
export function forget() {
  asked++;
  loads++;
  clearTimeout(askTimer);
  clearTimeout(loadTimer);
  loadTimer = 0;
  lost = false;
  meanwhile = null;
  endEvents();
  Object.assign(live, { session: null, ...nothing() });
  draw();
}

/** Takes over what an answer has said, without waiting for the event. @param {any} server */
export function learnServer(server) {
  if (server?.name) takeServer({ ...(live.servers?.get(server.name) ?? {}), ...server });
  draw();
}

/** @param {any} operation */
export function learnOperation(operation) {
  // An event that tells of its end may be faster than the answer to its beginning.
  const known = live.operations.get(operation?.id);
  if (operation?.id != null && !(known && known.state !== "running")) live.operations = new Map(live.operations).set(operation.id, operation);
  draw();
}

/** The operation that runs on a server, or else its latest one. @param {string} name */
export function operationOf(name) {
  const own = [...live.operations.values()].filter((one) => one.name === name);
  return own.find((one) => one.state === "running") ?? own.sort((a, b) => b.started_us - a.started_us)[0] ?? null;
}
