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

/** @type {Live} */
const live = {
  session: undefined, // undefined: not asked yet; null: nobody is logged in
  connection: "connecting",
  host: null,
  servers: null,
  decisions: [],
  operations: new Map(),
  error: null,
};
/** @type {Set<() => void>} */
const watchers = new Set();
let drawTimer = 0;
let drawnAt = -DRAW_MS;
let endEvents = () => {};

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

/** @param {any} server */
function takeServer(server) {
  live.servers = new Map(live.servers ?? []).set(server.name, server);
}

/** @param {string} type @param {any} data */
function take(type, data) {
  if (type === "host") live.host = data;
  if (type === "server") takeServer(data);
  if (type === "gone" && live.servers) {
    live.servers = new Map(live.servers);
    live.servers.delete(data.name);
  }
  if (type === "decision") live.decisions = [data, ...live.decisions].slice(0, DECISIONS_KEPT);
  if (type === "operation") live.operations = new Map(live.operations).set(data.id, data);
  if (type === "lost") void load();
  if (type === "end") void whoAmI();
  changed();
}

/** All facts anew: at the beginning, and after a gap in the stream. */
export async function load() {
  try {
    const [host, list, operations] = await Promise.all([get("/host"), get("/servers"), get("/operations")]);
    live.host = host;
    live.servers = new Map(list.servers.map((/** @type {any} */ server) => [server.name, server]));
    live.operations = new Map(operations.operations.map((/** @type {any} */ one) => [one.id, one]));
    live.error = null;
  } catch (error) {
    live.error = /** @type {import("./api.js").Problem} */ (error);
    if (live.error.status === 401) live.session = null;
  }
  draw(); // somebody waits for this
}

function begin() {
  endEvents();
  let first = true;
  endEvents = events(take, (state) => {
    const back = state === "online" && live.connection === "offline";
    live.connection = state;
    if (back) void load();
    else if (first) window.setTimeout(() => live.session && void load(), SETTLED_MS);
    first = false;
    changed();
  });
  void load();
}

/** Begins to follow events when somebody is logged in. @param {any} [session] what a login has answered; else it is asked for */
export async function whoAmI(session) {
  try {
    live.session = session ?? (await get("/session"));
    begin();
  } catch (error) {
    const problem = /** @type {import("./api.js").Problem} */ (error);
    if (problem.status === 401) {
      live.session = null;
      endEvents();
    } else {
      live.error = problem;
      window.setTimeout(() => void whoAmI(), 2000);
    }
  }
  draw();
}

/** Nobody is logged in any more: nothing of theirs stays on the page. */
export function forget() {
  endEvents();
  Object.assign(live, { session: null, host: null, servers: null, decisions: [], operations: new Map(), error: null, connection: "connecting" });
  draw();
}

/** Takes over what an answer has said, without waiting for the event. @param {any} server */
export function learnServer(server) {
  if (server?.name) takeServer({ ...(live.servers?.get(server.name) ?? {}), ...server });
  draw();
}

/** @param {any} operation */
export function learnOperation(operation) {
  if (operation?.id != null) live.operations = new Map(live.operations).set(operation.id, operation);
  draw();
}

/** The operation that runs on a server, or else its latest one. @param {string} name */
export function operationOf(name) {
  const own = [...live.operations.values()].filter((one) => one.name === name);
  return own.find((one) => one.state === "running") ?? own.sort((a, b) => b.started_us - a.started_us)[0] ?? null;
}
