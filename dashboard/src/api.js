// The HTTP interface: one function for requests, one for the stream of events.

const BASE = "/api/v1";
/** The server gives up waiting for others after 15 s; what has not come after this will not come. */
const ANSWER_MS = 20000;

/** A refusal, as the server explains it. */
export class Problem extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    super(body?.detail ?? (status === 0 ? "The dashboard's server cannot be reached." : `The server answered ${status}.`));
    this.status = status;
    this.kind = body?.kind ?? (status === 0 ? "offline" : "failed");
    this.body = body ?? {};
  }
}

/** @param {string} name */
export function serverPath(name) {
  return `/servers/${encodeURIComponent(name)}`;
}

/**
 * @param {string} method @param {string} path below /api/v1 @param {object} [body]
 * @returns {Promise<any>} the answer; null where there is none. Rejects with a Problem.
 */
export async function request(method, path, body) {
  let response, text;
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), ANSWER_MS);
  try {
    response = await fetch(BASE + path, {
      method,
      credentials: "same-origin",
      headers: { "X-Requested-With": "aerostat", ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
      signal: silence.signal,
    });
    clearTimeout(timer);
    text = await response.text(); // however long that takes where the line is slow
  } catch {
    throw new Problem(0, null);
  }
  let parsed = null;
  try {
    parsed = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem(response.ok ? 502 : response.status, null);
  }
  if (!response.ok) throw new Problem(response.status, parsed);
  return parsed;
}

/** @param {string} path */
export const get = (path) => request("GET", path);

const EVENT_TYPES = ["host", "server", "decision", "operation", "gone", "lost", "online", "offline", "end"];

/**
 * Calls @take(type, data) for each event, and @state("online" | "offline") as the connection comes and goes.
 * @param {(type: string, data: any) => void} take @param {(state: "online" | "offline") => void} state
 * @param {(session: any) => boolean} isSame whether it is still the same account; else take("end") is called
 * @returns {() => void} ends it
 */
export function events(take, state, isSame) {
  /** @type {EventSource} */
  let source;
  let timer = 0;
  let pause = 1000;
  let ended = false;
  const open = () => {
    source = new EventSource(`${BASE}/events`);
    // Open is not online yet: the server says so itself, once the daemon tells it of events.
    source.onopen = () => {
      pause = 1000;
    };
    source.onerror = () => {
      state("offline");
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      clearTimeout(timer);
      timer = window.setTimeout(() => void again(), pause);
      pause = Math.min(pause * 2, 10000);
    };
    for (const type of EVENT_TYPES)
      source.addEventListener(type, (event) => {
        if (type === "offline" || type === "online") state(type);
        else take(type, JSON.parse(/** @type {MessageEvent} */ (event).data));
      });
  };
  // A stream that was refused does not say why. The session may have ended meanwhile, or another one begun.
  const again = async () => {
    const [session, problem] = await get("/session").then((found) => [found, null], (found) => [null, found]);
    if (ended) return;
    if (problem?.status === 401 || (session && !isSame(session))) take("end", {});
    else open();
  };
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source.close();
  };
}
