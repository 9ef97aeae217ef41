/**
 * What the page knows: frames and the user's own actions in, the next state out.
 *
 * Pure: no DOM, no clock, no network, so it runs anywhere a test wants it to. A state is never changed
 * in place; what did not change stays the same object, which is how the view knows what to redraw.
 *
 * A thread is a list of turns; a turn is a question, the run that works on it and its answer.
 */

import { applyEvent, applyHistory, newTurn } from "./turns.js";

/** @param {{threadId?: string | null}} [start] */
export function initialState({ threadId = null } = {}) {
  return {
    connection: { status: "connecting", reason: null, retryAt: null },
    user: null,
    maxMessageBytes: 8192,
    /** Server time minus ours in milliseconds: clocks of runs are drawn in the server's time. */
    clockOffsetMs: 0,
    /** The position in the user's event log up to which everything has been applied. */
    cursor: { seq: null, epoch: null },
    /** An event was missing: the connection must be resumed from the cursor. */
    gap: false,
    threadId,
    threads: {},
    /** Messages that the server has not acknowledged yet, oldest first. */
    outbox: [],
    notices: [],
  };
}

/** @returns the thread on the screen, or null before the first message */
export const currentThread = (state) => state.threads[state.threadId] ?? null;

/** The frame that asks a question; the same id every time, so that a repeat changes nothing. */
export function questionFrame(entry) {
  const frame = {
    type: "user_message",
    request_id: entry.id,
    client_message_id: entry.id,
    text: entry.text,
  };
  if (entry.threadId !== null) frame.thread_id = entry.threadId;
  return frame;
}

const HISTORY_REQUEST = "history:";

/** The frame the page should ask next for the conversation on the screen, or null. */
export function historyRequest(state) {
  const { connection, threadId, cursor } = state;
  if (connection.status !== "online" || threadId === null || cursor.seq === null) return null;
  if ((state.threads[threadId]?.history ?? "none") !== "none") return null;
  return { type: "get_thread_history", request_id: HISTORY_REQUEST + threadId, thread_id: threadId };
}

/**
 * @param {ReturnType<typeof initialState>} state
 * @param {{type: string} & Record<string, any>} action
 *   `frame {frame, now}` a frame of the server, `connection {status, reason, retryAt}`,
 *   `asked {id, text}` the user asks, `asked_again {id}`, `withdrawn {id}`,
 *   `history_requested {threadId}`, `notice_closed {key}`
 */
export function reduce(state, action) {
  switch (action.type) {
    case "frame":
      return reduceFrame(state, action.frame, action.now);
    case "connection":
      return reduceConnection(state, action);
    case "asked": {
      const entry = { id: action.id, text: action.text, threadId: state.threadId, status: "sending", error: null, shown: true };
      return { ...withoutNotice(state, "error"), outbox: [...state.outbox, entry] };
    }
    case "asked_again":
      return updateOutbox(withoutNotice(state, "error"), action.id, { status: "sending", error: null });
    case "withdrawn":
      return { ...state, outbox: state.outbox.filter((entry) => entry.id !== action.id) };
    case "history_requested":
      return updateThread(state, action.threadId, (thread) => ({ ...thread, history: "requested" }));
    case "notice_closed":
      return withoutNotice(state, action.key);
    default:
      throw new Error(`unknown action ${action.type}`);
  }
}

function reduceConnection(state, { status, reason, retryAt }) {
  const next = { ...state, connection: { status, reason, retryAt } };
  if (status === "online") return next;
  // The reply to a request in flight will not come any more. Its held-back events stay: they are
  // counted in the cursor and will not be sent again.
  return mapThreads(next, (thread) => (thread.history === "requested" ? { ...thread, history: "none" } : thread));
}

function reduceFrame(state, frame, now) {
  if (typeof frame.seq === "number" && typeof frame.event_id === "string") return reduceEvent(state, frame);
  switch (frame.type) {
    case "connection_ready":
      return reduceWelcome(state, frame, now);
    case "resumed":
      return withoutNotice(resume(state, frame), "service_degraded");
    case "ping":
    case "pong":
      return frame.server_time ? { ...state, clockOffsetMs: Date.parse(frame.server_time) - now } : state;
    case "message_accepted":
      return reduceAccepted(state, frame);
    case "thread_history":
      return reduceHistory(state, frame);
    case "error":
      return reduceError(state, frame);
    case "service_degraded":
      return withNotice(state, { key: frame.type, kind: frame.type, level: "warning", message: frame.message, components: frame.components ?? [] });
    case "service_recovered":
      return withoutNotice(state, "service_degraded");
    case "server_shutdown":
      return withNotice(state, { key: frame.type, kind: frame.type, level: "info" });
    case "token_expiring":
      return withNotice(state, { key: frame.type, kind: frame.type, level: "info", expiresInS: frame.expires_in_s });
    default:
      // A newer server may say more than this page knows; that must not break it.
      return state;
  }
}

function reduceWelcome(state, frame, now) {
  let next = {
    ...state,
    user: { id: frame.user_id, org: frame.org },
    maxMessageBytes: frame.max_message_bytes,
    clockOffsetMs: Date.parse(frame.server_time) - now,
    threadId: state.threadId ?? frame.thread_id,
    gap: false,
  };
  next = withoutNotice(withoutNotice(next, "server_shutdown"), "service_degraded");
  if (frame.mode === "degraded") {
    next = withNotice(next, { key: "service_degraded", kind: "service_degraded", level: "warning", message: "The server runs in a limited mode: new questions cannot be stored yet.", components: [] });
  }
  return frame.seq === null ? next : resume(next, frame);
}

/** Takes over the position the server serves from, after a welcome or after a time without the log. */
function resume(state, { epoch, seq, recovered }) {
  if (recovered === true) return { ...state, cursor: { seq: state.cursor.seq ?? seq, epoch } };
  const next = { ...state, cursor: { seq, epoch } };
  if (recovered === null) return next;
  // What lies between is lost to this page: each thread is read afresh. The old text stays on the
  // screen until the new one is there.
  return mapThreads(next, (thread) => ({ ...thread, history: "none", held: [] }));
}

function reduceEvent(state, event) {
  const { seq, epoch } = state.cursor;
  if (seq !== null && event.seq <= seq) return state;
  if (seq !== null && event.seq > seq + 1) return state.gap ? state : { ...state, gap: true };
  let next = { ...state, cursor: { seq: event.seq, epoch } };
  if (!event.thread_id) return next;
  if (event.type === "thread_deleted") return forgetThread(next, event.thread_id);
  if (event.type === "message_created" && event.payload.message.role === "user") next = hideEcho(next, event);
  return updateThread(next, event.thread_id, (thread) =>
    thread.history === "requested"
      ? { ...thread, held: [...thread.held, event] }
      : { ...thread, turns: applyEvent(thread.turns, event) },
  );
}

/** The event of our own message may overtake its acknowledgement: then the bubble would stand twice. */
function hideEcho(state, event) {
  const entry = state.outbox.find(
    ({ shown, text, threadId }) =>
      shown && text === event.payload.message.content && (threadId === null || threadId === event.thread_id),
  );
  return entry ? updateOutbox(state, entry.id, { shown: false }) : state;
}

function reduceAccepted(state, frame) {
  const entry = state.outbox.find(({ id }) => id === frame.client_message_id);
  let next = { ...state, outbox: state.outbox.filter((other) => other !== entry) };
  next = { ...next, threadId: state.threadId ?? frame.thread_id };
  if (entry === undefined) return next;
  // Questions asked while this one opened the thread belong to the same thread.
  next.outbox = next.outbox.map((other) => (other.threadId === null ? { ...other, threadId: frame.thread_id } : other));
  return updateThread(next, frame.thread_id, (thread) => {
    const isNew = entry.threadId === null && !frame.duplicate;
    const known = thread.turns.some((turn) => turn.key === frame.run_id);
    const question = { id: frame.message_id, text: entry.text };
    const turn = newTurn(frame.run_id, { question, position: frame.queue_position ?? 0 });
    return {
      ...thread,
      history: isNew && thread.history === "none" ? "loaded" : thread.history,
      turns: known ? thread.turns : [...thread.turns, turn],
    };
  });
}

function reduceHistory(state, frame) {
  return updateThread(state, frame.thread_id, (thread) => {
    const missed = thread.held.filter((event) => event.seq > frame.seq);
    const turns = missed.reduce(applyEvent, applyHistory(frame));
    return { ...thread, history: "loaded", held: [], turns };
  });
}

function reduceError(state, frame) {
  const notice = { key: "error", kind: "error", level: "error", code: frame.code, message: frame.message, retry_after_ms: frame.retry_after_ms, details: frame.details };
  const id = frame.request_id ?? "";
  if (id.startsWith(HISTORY_REQUEST)) {
    const threadId = id.slice(HISTORY_REQUEST.length);
    if (frame.code === "thread_not_found") return forgetThread(state, threadId);
    const next = updateThread(state, threadId, (thread) => ({
      ...thread,
      history: "failed",
      held: [],
      turns: thread.held.reduce(applyEvent, thread.turns),
    }));
    return withNotice(next, notice);
  }
  const entry = state.outbox.find((other) => other.id === id);
  if (entry === undefined) return withNotice(state, notice);
  // A draining server closes soon; the message goes out again, by itself, on the next connection.
  if (frame.code === "draining") return state;
  return updateOutbox(state, id, { status: "failed", error: notice });
}

function forgetThread(state, threadId) {
  const { [threadId]: _gone, ...threads } = state.threads;
  return { ...state, threads, threadId: state.threadId === threadId ? null : state.threadId };
}

function updateThread(state, id, change) {
  const thread = state.threads[id] ?? { id, history: "none", held: [], turns: [] };
  const next = change(thread);
  return next === thread ? state : { ...state, threads: { ...state.threads, [id]: next } };
}

function mapThreads(state, change) {
  const threads = Object.fromEntries(Object.entries(state.threads).map(([id, thread]) => [id, change(thread)]));
  return { ...state, threads };
}

function updateOutbox(state, id, change) {
  return { ...state, outbox: state.outbox.map((entry) => (entry.id === id ? { ...entry, ...change } : entry)) };
}

function withNotice(state, notice) {
  return { ...state, notices: [...state.notices.filter(({ key }) => key !== notice.key), notice] };
}

function withoutNotice(state, key) {
  return state.notices.some((notice) => notice.key === key)
    ? { ...state, notices: state.notices.filter((notice) => notice.key !== key) }
    : state;
}
