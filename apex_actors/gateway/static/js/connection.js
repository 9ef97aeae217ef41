/**
 * One user's line to the server: a WebSocket that comes back by itself.
 *
 * It knows the handshake, heartbeats, closing and backing off; what frames mean is the store's matter.
 */

/** Full jitter: a random wait up to base · 2^attempt, so that a thousand pages do not return as one. */
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 15_000;
/** For these reasons the server wants distance: never sooner than this. */
const TOLD_OFF = new Set(["busy", "closed", "full"]);
const BACKOFF_FLOOR_WHEN_TOLD_OFF_MS = 5_000;
/** A connection that lived this long was a good one: the count of attempts starts again. */
const STABLE_AFTER_MS = 10_000;
/** From opening to the welcome; the server gives a handshake 5 s. */
const WELCOME_TIMEOUT_MS = 10_000;
/** How long a line under suspicion may stay silent after we asked. */
const PROBE_TIMEOUT_MS = 4_000;

const CLOSE_TOKEN = 4401;
/** Too many errors, or over the nodes too many connections of the user: only its words tell which. */
const CLOSE_POLICY = 1008;
const CLOSE_REASONS = new Map([
  [CLOSE_POLICY, "closed"],
  [1012, "restarting"],
  [4408, "slow"],
  [4429, "busy"],
]);

/** The token as a WebSocket subprotocol, the only place where a browser can put one. */
export function tokenSubprotocol(token) {
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(token)));
  return `jwt.${base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** @returns {number} milliseconds */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

export class Connection {
  #url;
  #token;
  #cursor;
  #onFrame;
  #onStatus;
  #onRefused;
  #whyRefused;

  #socket = null;
  #closed = true;
  #attempt = 0;
  #onlineSince = null;
  #heartbeatMs = 30_000;
  #serverDelayMs = null;
  #fullBefore = false;
  #retryTimer = null;
  #silenceTimer = null;

  /**
   * @param {object} needs
   * @param {string | URL} needs.url address of the socket, without a query
   * @param {() => string} needs.token
   * @param {() => {seq: number | null, epoch: string | null}} needs.cursor position to resume from
   * @param {(frame: object) => void} needs.onFrame every frame, the welcome first
   * @param {(status: {status: string, reason: string | null, retryAt: number | null}) => void} needs.onStatus
   * @param {() => void} needs.onRefused the token is no good (any more); the connection stays closed
   * @param {() => Promise<string>} needs.whyRefused asks why a handshake failed: `refused` where it was
   *   the token's fault, else a reason
   */
  constructor({ url, token, cursor, onFrame, onStatus, onRefused, whyRefused }) {
    this.#url = url;
    this.#token = token;
    this.#cursor = cursor;
    this.#onFrame = onFrame;
    this.#onStatus = onStatus;
    this.#onRefused = onRefused;
    this.#whyRefused = whyRefused;
  }

  open() {
    this.#closed = false;
    window.addEventListener("online", this.#hurry);
    window.addEventListener("offline", this.#suspect);
    document.addEventListener("visibilitychange", this.#hurry);
    this.#report("connecting");
    this.#connect();
  }

  /** Closes for good. */
  close() {
    this.#closed = true;
    window.removeEventListener("online", this.#hurry);
    window.removeEventListener("offline", this.#suspect);
    document.removeEventListener("visibilitychange", this.#hurry);
    clearTimeout(this.#retryTimer);
    this.#letGo();
  }

  /** Drops the line and resumes from the cursor. */
  resume() {
    if (this.#socket !== null) this.#lose("lost");
  }

  /** @returns {boolean} false when not online: then nothing was sent */
  send(frame) {
    if (this.#onlineSince === null) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #connect() {
    const url = new URL(this.#url);
    const { seq, epoch } = this.#cursor();
    if (seq !== null && epoch !== null) {
      url.searchParams.set("after", seq);
      url.searchParams.set("epoch", epoch);
    }
    const socket = new WebSocket(url, ["apex.v1", tokenSubprotocol(this.#token())]);
    let opened = false;
    this.#socket = socket;
    // An event of a socket that was given up must not touch the one that took its place.
    const current = (handle) => (event) => {
      if (socket === this.#socket) handle(event);
    };
    socket.onopen = current(() => {
      opened = true;
    });
    socket.onmessage = current(({ data }) => this.#receive(JSON.parse(data)));
    socket.onclose = current(({ code, reason }) => {
      if (code === CLOSE_TOKEN) return this.#refuse();
      const known = code === CLOSE_POLICY && reason.includes("connections") ? "full" : CLOSE_REASONS.get(code);
      this.#lose(known ?? (opened ? "lost" : "unreachable"));
      if (!opened) this.#askWhy();
    });
    this.#watchSilence(WELCOME_TIMEOUT_MS);
  }

  #receive(frame) {
    if (frame.type === "connection_ready") {
      this.#heartbeatMs = frame.heartbeat_interval_s * 1000;
      this.#onlineSince = Date.now();
      this.#serverDelayMs = null;
      this.#fullBefore = false;
    } else if (frame.type === "server_shutdown") {
      this.#serverDelayMs = frame.reconnect_after_ms;
    }
    this.#watchSilence(2 * this.#heartbeatMs);
    this.#onFrame(frame);
    if (frame.type === "connection_ready") this.#report("online");
    if (frame.type === "ping") this.#pong();
  }

  #pong() {
    const { seq } = this.#cursor();
    this.send(seq === null ? { type: "pong" } : { type: "pong", seq });
  }

  #watchSilence(limitMs) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#lose("lost"), limitMs);
  }

  #lose(reason) {
    const livedMs = this.#onlineSince === null ? 0 : Date.now() - this.#onlineSince;
    if (livedMs > STABLE_AFTER_MS) this.#attempt = 0;
    this.#letGo();
    if (this.#closed) return;
    let delayMs = this.#serverDelayMs ?? backoff(this.#attempt);
    if (TOLD_OFF.has(reason)) delayMs = Math.max(delayMs, BACKOFF_FLOOR_WHEN_TOLD_OFF_MS);
    this.#attempt += 1;
    this.#retryIn(delayMs, reason);
  }

  #retryIn(delayMs, reason) {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#connect(), delayMs);
    // The browser's word for "offline" is only used as a word: a server on this very machine can be
    // reached without any network, so the attempts go on.
    this.#report(navigator.onLine ? "reconnecting" : "offline", { reason, retryAt: Date.now() + delayMs });
  }

  /** Closing a dead line can take a minute until the browser says so: it is forgotten at once. */
  #letGo() {
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#onlineSince = null;
    socket?.close();
  }

  #refuse() {
    this.close();
    this.#onRefused();
  }

  /** The reason of a handshake that failed comes later than the failure: it may lengthen the wait. */
  async #askWhy() {
    const attempt = this.#attempt;
    const reason = await this.#whyRefused();
    if (this.#closed) return;
    if (reason === "refused") return this.#refuse();
    if (this.#socket !== null || attempt !== this.#attempt) return;
    // A server that has just come up again looks the same once; only a full one does twice.
    const before = this.#fullBefore;
    this.#fullBefore = reason === "full";
    if (reason === "full" && !before) return;
    if (TOLD_OFF.has(reason)) this.#retryIn(BACKOFF_FLOOR_WHEN_TOLD_OFF_MS + backoff(attempt), reason);
    else if (reason !== "unreachable") this.#retryIn(backoff(attempt), reason);
  }

  /** Something changed for the better (network back, tab looked at): no reason to wait any longer. */
  #hurry = () => {
    if (document.hidden) return;
    if (this.#socket !== null) return this.#suspect();
    clearTimeout(this.#retryTimer);
    this.#connect();
  };

  /** The line may be dead without anyone having said so: ask, and give it a moment to answer. */
  #suspect = () => {
    if (this.send({ type: "ping" })) this.#watchSilence(PROBE_TIMEOUT_MS);
  };

  #report(status, { reason = null, retryAt = null } = {}) {
    this.#onStatus({ status, reason, retryAt });
  }
}
