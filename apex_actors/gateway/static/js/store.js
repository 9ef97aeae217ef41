/**
 * What the page knows: frames and the user's own actions in, the next state out.
 *
 * Pure: no DOM, no clock, no network, so it runs anywhere a test wants it to. A state is never changed
 * in place; what did not change stays the same object, which is how the view knows what to redraw.
 *
 * A thread is a list of turns; a turn is a question, the run that works on it and its answer.
 */

import { withNotice, withoutNotice } from "./notices.js";
import { dueQuestions, isDue, isPutOff, newEntry, nextDue, putOff, questionFrame, sent, unsent } from "./outbox.js";
import { cancelRun, deleteThread, isRepeatable, renameThread, retryRun, switchThread } from "./requests.js";
import { applyPage, applyToList, askAgain, editItem, isListRequest, listAsked, listFailed, listRequest, newThreadList, outdate, wantMore, withoutItem } from "./threadlist.js";
import { applyEvent, applyHistory, changeRun, newTurn, withEarlier, withRetry } from "./turns.js";

/** @param {{threadId?: string | null, blank?: boolean}} [start] where the tab was when it was left */
export function initialState({ threadId = null, blank = false } = {}) {
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
    /** The user wants a new thread: the server's idea of the current one is not taken over. */
    blank,
    /** Counts new chats, so that a question of one that was left does not lead back to it. */
    draft: 0,
    threads: {},
    list: newThreadList(),
    /** Ids of threads that are deleted: what still comes of them is of no interest. */
    gone: {},
    /** Messages that the server has not acknowledged yet, oldest first. */
    outbox: [],
    /** What else was asked of the server and is not answered yet, oldest first. */
    requests: [],
    notices: [],
  };
}

/** @returns the thread on the screen, or null before the first message */
export const currentThread = (state) => state.threads[state.threadId] ?? null;

const HISTORY_REQUEST = "history:";
const EARLIER_REQUEST = "earlier:";

/** Messages of a page of history. */
const HISTORY_PAGE = 50;

/** The frame the page should ask next for the conversation on the screen, or null. */
export function historyRequest(state, now = 0) {
  const { connection, threadId, cursor } = state;
  if (connection.status !== "online" || threadId === null || cursor.seq === null) return null;
  const { history = "none", retryAt = null } = state.threads[threadId] ?? {};
  if (history !== "none" || (retryAt !== null && retryAt > now)) return null;
  return { type: "get_thread_history", request_id: HISTORY_REQUEST + threadId, thread_id: threadId, limit: HISTORY_PAGE };
}

/** The frame that asks for the page before what is on the screen, where the reader wants it, or null. */
function earlierRequest(state) {
  const thread = currentThread(state);
  if (thread?.earlier !== "wanted" || thread.history !== "loaded") return null;
  return { type: "get_thread_history", request_id: EARLIER_REQUEST + thread.id, thread_id: thread.id, limit: HISTORY_PAGE, before: thread.oldest };
}

/**
 * The frames that are to go out now, in their order, each with the action that says it did.
 *
 * @returns {{frame: object, action: object}[]}
 */
export function dueFrames(state, now) {
  if (state.connection.status !== "online") return [];
  const due = state.requests.filter((request) => isDue(request, now)).map(({ id, frame }) => ({ frame, action: { type: "sent", id } }));
  for (const entry of dueQuestions(state.outbox, now)) due.push({ frame: questionFrame(entry), action: { type: "sent", id: entry.id } });
  const history = historyRequest(state, now);
  if (history !== null) due.push({ frame: history, action: { type: "history_requested", threadId: history.thread_id } });
  const earlier = earlierRequest(state);
  if (earlier !== null) due.push({ frame: earlier, action: { type: "earlier_requested", threadId: earlier.thread_id } });
  const list = state.cursor.seq === null ? null : listRequest(state.list, now);
  if (list !== null) due.push({ frame: list, action: { type: "list_requested" } });
  return due;
}

/** When frames that were put off become due, in milliseconds; null when there are none. */
export function nextFrameAt(state) {
  if (state.connection.status !== "online") return null;
  const times = [nextDue(state.outbox), nextDue(state.requests), state.list.retryAt, currentThread(state)?.retryAt ?? null];
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/**
 * @param {ReturnType<typeof initialState>} state
 * @param {{type: string} & Record<string, any>} action
 *   `frame {frame, now}` a frame of the server, `connection {status, reason, retryAt}`;
 *   `asked {id, text}` the user asks, `asked_again {id}`, `withdrawn {id}`, `notice_closed {key}`;
 *   `chat_begun`, `thread_opened {id, threadId}`, `thread_renamed {id, threadId, title}`,
 *   `thread_dropped {id, threadId}`, `threads_wanted` the end of the list is in sight;
 *   `run_stopped {id, runId}`, `run_retried {id, runId}`, of the thread on the screen;
 *   `earlier_wanted` the reader wants what was said before, in the thread on the screen;
 *   `sent {id}`, `history_requested {threadId}`, `earlier_requested {threadId}`, `list_requested`
 *   frames went out
 */
export function reduce(state, action) {
  switch (action.type) {
    case "frame":
      return reduceFrame(state, action.frame, action.now);
    case "connection":
      return reduceConnection(state, action);
    case "asked": {
      const { id, text } = action;
      const entry = newEntry({ id, text, threadId: state.threadId, draft: state.draft, shown: true });
      return { ...withoutNotice(state, "error"), outbox: [...state.outbox, entry] };
    }
    case "asked_again":
      return updateOutbox(withoutNotice(state, "error"), action.id, { status: "sending", sent: false, tries: 0, retryAt: null, error: null });
    case "withdrawn":
      return { ...state, outbox: state.outbox.filter((entry) => entry.id !== action.id) };
    case "chat_begun":
      return beginChat(state);
    case "thread_opened": {
      const requests = state.requests.filter(({ frame }) => frame.type !== "switch_thread");
      const request = switchThread(action.id, action.threadId);
      const next = withoutNotice(withoutNotice(state, "error"), "thread_deleted");
      return { ...next, threadId: action.threadId, blank: false, requests: [...requests, request] };
    }
    case "thread_renamed": {
      const before = state.list.items.find(({ id }) => id === action.threadId)?.title ?? action.title;
      const next = { ...state, list: editItem(state.list, action.threadId, { title: action.title, isNamed: true }) };
      return withRequest(next, renameThread(action.id, action.threadId, action.title, before));
    }
    case "thread_dropped": {
      const next = { ...state, list: editItem(state.list, action.threadId, { deleting: true }) };
      return withRequest(next, deleteThread(action.id, action.threadId));
    }
    case "threads_wanted":
      return { ...state, list: wantMore(askAgain(state.list, { failedToo: true })) };
    case "run_stopped":
      return withRequest(
        updateRun(state, state.threadId, action.runId, { stopping: true }),
        cancelRun(action.id, state.threadId, action.runId),
      );
    case "run_retried":
      return withRequest(
        updateRun(withoutNotice(state, "error"), state.threadId, action.runId, { retrying: true }),
        retryRun(action.id, state.threadId, action.runId),
      );
    case "sent":
      return { ...state, outbox: changeById(state.outbox, action.id, sent), requests: changeById(state.requests, action.id, sent) };
    case "history_requested":
      return updateThread(state, action.threadId, (thread) => ({ ...thread, history: "requested", retryAt: null }));
    case "earlier_wanted":
      return changeThread(state, state.threadId, { earlier: "wanted" });
    case "earlier_requested":
      return changeThread(state, action.threadId, { earlier: "asked" });
    case "list_requested":
      return { ...state, list: listAsked(state.list, state.cursor.seq) };
    case "notice_closed":
      return withoutNotice(state, action.key);
    default:
      throw new Error(`unknown action ${action.type}`);
  }
}

function beginChat(state) {
  const next = withoutNotice(withoutNotice(state, "error"), "thread_deleted");
  return { ...next, threadId: null, blank: true, draft: state.draft + 1 };
}

function reduceConnection(state, { status, reason, retryAt }) {
  const next = { ...state, connection: { status, reason, retryAt } };
  if (status === "online") return next;
  for (const { about } of state.requests.filter((request) => request.sent && !isRepeatable(request))) {
    Object.assign(next, updateRun(next, about.threadId, about.runId, { retrying: false }));
  }
  next.outbox = next.outbox.map(unsent);
  next.requests = next.requests.filter((request) => !request.sent || isRepeatable(request)).map(unsent);
  next.list = askAgain(next.list);
  // The reply to a request in flight will not come any more. Its held-back events stay: they are
  // counted in the cursor and will not be sent again.
  return mapThreads(next, (thread) => ({
    ...thread,
    history: thread.history === "requested" ? "none" : thread.history,
    earlier: thread.earlier === "asked" ? "wanted" : thread.earlier,
  }));
}

function reduceFrame(state, frame, now) {
  if (typeof frame.seq === "number" && typeof frame.event_id === "string") return reduceEvent(state, frame);
  switch (frame.type) {
    case "connection_ready":
      return reduceWelcome(state, frame, now);
    case "resumed":
      return readFailedAgain(withoutNotice(resume(state, frame), "service_degraded"));
    case "ping":
    case "pong":
      return frame.server_time ? { ...state, clockOffsetMs: Date.parse(frame.server_time) - now } : state;
    case "message_accepted":
      return reduceAccepted(state, frame, now);
    case "thread_history":
      return reduceHistory(state, frame);
    case "threads":
      return { ...state, list: applyPage(state.list, frame, state.gone) };
    case "ok":
      return reduceDone(state, frame);
    case "thread_data":
    case "run_cancelling":
    case "run_status":
      return withoutRequest(state, frame.request_id);
    case "error":
      return reduceError(state, frame, now);
    case "service_degraded":
      return withNotice(state, { key: frame.type, kind: frame.type, level: "warning", message: frame.message, components: frame.components ?? [] });
    case "service_recovered":
      return readFailedAgain(withoutNotice(state, "service_degraded"));
    case "server_shutdown":
      return withNotice(state, { key: frame.type, kind: frame.type, level: "info" });
    case "token_expiring":
      return withNotice(state, { key: frame.type, kind: frame.type, level: "info", endsAt: now + frame.expires_in_s * 1000 });
    case "token_refreshed":
      return withoutNotice(state, "token_expiring");
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
    threadId: state.threadId ?? (state.blank ? null : frame.thread_id),
    gap: false,
  };
  for (const key of ["server_shutdown", "service_degraded", "token_expiring"]) next = withoutNotice(next, key);
  if (frame.mode === "degraded") {
    next = withNotice(next, { key: "service_degraded", kind: "service_degraded", level: "warning", message: "The server runs in a limited mode: new questions cannot be stored yet.", components: [] });
  }
  return frame.seq === null ? next : readFailedAgain(resume(next, frame));
}

/** Takes over the position the server serves from, after a welcome or after a time without the log. */
function resume(state, { epoch, seq, recovered }) {
  if (recovered === true) return { ...state, cursor: { seq: state.cursor.seq ?? seq, epoch } };
  const next = { ...state, cursor: { seq, epoch } };
  if (recovered === null) return next;
  // What lies between is lost to this page: each thread is read afresh. The old text stays on the
  // screen until the new one is there.
  next.list = outdate(next.list);
  return mapThreads(next, (thread) => ({ ...thread, history: "none", held: [] }));
}

/** What could not be read before may be read now. */
function readFailedAgain(state) {
  const next = { ...state, list: askAgain(state.list, { failedToo: true }) };
  return mapThreads(next, (thread) => (thread.history === "failed" ? { ...thread, history: "none" } : thread));
}

function reduceEvent(state, event) {
  const { seq, epoch } = state.cursor;
  const { type, thread_id: threadId } = event;
  if (seq !== null && event.seq <= seq) return state;
  if (seq !== null && event.seq > seq + 1) return state.gap ? state : { ...state, gap: true };
  let next = { ...state, cursor: { seq: event.seq, epoch } };
  if (!threadId || type === "event_redacted") return next;
  if (type === "thread_deleted") return reduceDeleted(next, threadId);
  if (state.gone[threadId]) return next;
  next.list = applyToList(state.list, event);
  if (type === "message_created" && event.payload.message.role === "user") next = hideEcho(next, event);
  return updateThread(next, threadId, (thread) => {
    if (thread.history === "requested") return { ...thread, held: [...thread.held, event] };
    // A run that begins without a question is another tab's second try: the history knows of what.
    const isRetry = event.run_id && type !== "message_created" && !thread.turns.some(({ key }) => key === event.run_id);
    const history = isRetry && thread.history === "loaded" ? "none" : thread.history;
    return { ...thread, history, turns: applyEvent(thread.turns, event) };
  });
}

function reduceDeleted(state, threadId) {
  const isNews = state.threadId === threadId;
  const next = forgetThread(state, threadId);
  return isNews ? withNotice(next, { key: "thread_deleted", kind: "thread_deleted", level: "info" }) : next;
}

/** The event of our own message may overtake its acknowledgement: then the bubble would stand twice. */
function hideEcho(state, event) {
  const entry = state.outbox.find(
    ({ shown, text, threadId }) =>
      shown && text === event.payload.message.content && (threadId === null || threadId === event.thread_id),
  );
  return entry ? updateOutbox(state, entry.id, { shown: false }) : state;
}

function reduceAccepted(state, frame, now) {
  const request = state.requests.find(({ id }) => id === frame.request_id);
  if (request !== undefined) return reduceRetried(state, request, frame, now);
  const entry = state.outbox.find(({ id }) => id === frame.client_message_id);
  if (entry === undefined) return state.blank ? state : { ...state, threadId: state.threadId ?? frame.thread_id };
  const next = { ...state, outbox: state.outbox.filter((other) => other !== entry) };
  if (entry.threadId === null) {
    // Questions asked while this one opened the thread belong to the same thread.
    next.outbox = next.outbox.map((other) =>
      other.threadId === null && other.draft === entry.draft ? { ...other, threadId: frame.thread_id } : other,
    );
    if (state.threadId === null && state.draft === entry.draft) Object.assign(next, { threadId: frame.thread_id, blank: false });
  }
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

function reduceRetried(state, { id, about }, { run_id: runId, message_id: messageId, queue_position: position }, now) {
  const next = updateRun(withoutRequest(state, id), about.threadId, about.runId, { retrying: false });
  const askedAt = now + state.clockOffsetMs;
  return updateThread(next, about.threadId, (thread) => ({ ...thread, turns: withRetry(thread.turns, { runId, messageId, position, askedAt }) }));
}

/** `ok`: of a new title, whose event tells the rest, or of a deletion, which hides the thread at once. */
function reduceDone(state, frame) {
  const request = state.requests.find(({ id }) => id === frame.request_id);
  if (request === undefined) return state;
  const next = withoutRequest(state, request.id);
  return request.frame.type === "delete_thread" ? forgetThread(next, request.about.threadId) : next;
}

function reduceHistory(state, frame) {
  if (state.gone[frame.thread_id]) return state;
  const page = { oldest: frame.messages[0]?.id ?? null, earlier: frame.messages.length < HISTORY_PAGE ? "none" : "there" };
  if (frame.request_id?.startsWith(EARLIER_REQUEST)) return reduceEarlier(state, frame, page);
  return updateThread(state, frame.thread_id, (thread) => {
    const missed = thread.held.filter((event) => event.seq > frame.seq);
    const turns = missed.reduce(applyEvent, applyHistory(frame, thread.turns));
    return { ...thread, ...page, history: "loaded", held: [], turns };
  });
}

function reduceEarlier(state, frame, page) {
  // Read afresh meanwhile, the thread has another oldest message: then this page is none before it.
  if (state.threads[frame.thread_id]?.earlier !== "asked") return state;
  return updateThread(state, frame.thread_id, (thread) => ({ ...thread, ...page, turns: withEarlier(thread.turns, frame) }));
}

function reduceError(state, frame, now) {
  const id = frame.request_id ?? "";
  if (id.startsWith(HISTORY_REQUEST)) return reduceHistoryError(state, id.slice(HISTORY_REQUEST.length), frame, now);
  if (id.startsWith(EARLIER_REQUEST)) return withNotice(changeThread(state, id.slice(EARLIER_REQUEST.length), { earlier: "there" }), noticeOf(frame));
  if (isListRequest(id)) return { ...state, list: listFailed(state.list, frame, now) };
  const request = state.requests.find((other) => other.id === id);
  const entry = state.outbox.find((other) => other.id === id);
  if (request === undefined && entry === undefined) return withNotice(state, noticeOf(frame));
  // A draining server closes soon; what it did not take goes out again, by itself, on the next connection.
  if (frame.code === "draining") return state;
  if (isPutOff(request ?? entry, frame)) {
    const later = (other) => putOff(other, frame, now);
    return { ...state, requests: changeById(state.requests, id, later), outbox: changeById(state.outbox, id, later) };
  }
  if (entry !== undefined) return updateOutbox(state, id, { status: "failed", error: frame });
  return reduceRefused(withoutRequest(state, id), request, frame);
}

/** A request of the user will not be served: what was shown as done or going on is taken back. */
function reduceRefused(state, { frame: { type }, about }, error) {
  const { threadId, runId } = about;
  if (error.code === "thread_not_found" && type === "delete_thread") return forgetThread(state, threadId);
  // The thread's history is asked for as well, and tells the same.
  if (type === "switch_thread") return state;
  let next = withNotice(state, noticeOf(error));
  if (type === "rename_thread") next.list = editItem(next.list, threadId, { title: about.before });
  if (type === "delete_thread") next.list = editItem(next.list, threadId, { deleting: false });
  if (runId !== undefined) next = updateRun(next, threadId, runId, { stopping: false, retrying: false });
  return next;
}

function reduceHistoryError(state, threadId, frame, now) {
  if (frame.code === "thread_not_found") return forgetThread(state, threadId);
  const retryAt = frame.retry_after_ms > 0 ? now + frame.retry_after_ms : null;
  const next = updateThread(state, threadId, (thread) => ({
    ...thread,
    history: retryAt === null ? "failed" : "none",
    retryAt,
    held: [],
    turns: thread.held.reduce(applyEvent, thread.turns),
  }));
  return retryAt === null ? withNotice(next, noticeOf(frame)) : next;
}

const noticeOf = (error) => ({ ...error, key: "error", kind: "error", level: "error" });

/** The thread is no more; where it was on the screen, a new chat is. */
function forgetThread(state, threadId) {
  const { [threadId]: _gone, ...threads } = state.threads;
  const next = {
    ...state,
    threads,
    list: withoutItem(state.list, threadId),
    gone: { ...state.gone, [threadId]: true },
    requests: state.requests.filter(({ about, frame }) => about.threadId !== threadId || frame.type === "delete_thread"),
  };
  return state.threadId === threadId ? beginChat(next) : next;
}

const newThread = (id) => ({
  id,
  /** `none`: to be asked for, `requested`, `loaded`, `failed`. */
  history: "none",
  retryAt: null,
  /** What lies before the turns: `none`, or `there` and perhaps `wanted` or `asked`. */
  earlier: "none",
  /** Id of the oldest message of the history. */
  oldest: null,
  /** Events that came while the history was under way. */
  held: [],
  turns: [],
});

const changeThread = (state, id, change) =>
  state.threads[id] === undefined ? state : updateThread(state, id, (thread) => ({ ...thread, ...change }));

function updateThread(state, id, change) {
  const thread = state.threads[id] ?? newThread(id);
  const next = change(thread);
  return next === thread ? state : { ...state, threads: { ...state.threads, [id]: next } };
}

function mapThreads(state, change) {
  const threads = Object.fromEntries(Object.entries(state.threads).map(([id, thread]) => [id, change(thread)]));
  return { ...state, threads };
}

const updateRun = (state, threadId, runId, change) =>
  state.threads[threadId] === undefined
    ? state
    : updateThread(state, threadId, (thread) => ({ ...thread, turns: changeRun(thread.turns, runId, change) }));

const changeById = (entries, id, change) =>
  entries.some((entry) => entry.id === id) ? entries.map((entry) => (entry.id === id ? change(entry) : entry)) : entries;

const updateOutbox = (state, id, change) => ({ ...state, outbox: changeById(state.outbox, id, (entry) => ({ ...entry, ...change })) });

const withRequest = (state, request) => ({ ...state, requests: [...state.requests, request] });

const withoutRequest = (state, id) => ({ ...state, requests: state.requests.filter((request) => request.id !== id) });
