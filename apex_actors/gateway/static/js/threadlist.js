/** The list of a user's threads, from pages and from events. Pure, like the store it serves. */

/** Lines of a page: more than a tall screen shows. */
const PAGE = 30;
const TITLE_CHARACTERS = 80;

const FIRST_PAGE = "threads:first";
const NEXT_PAGE = "threads:next";

/** Events that tell of a run at work; the others of a run come after one of these. */
const RUN_SIGNS = new Set(["run_queued", "agent_started", "run_resumed"]);

export function newThreadList() {
  return {
    /** Latest first: {id, title, updatedAt (ms), active: run ids, touched: seq of the last event}. */
    items: [],
    /** The server's cursor to the page after the last; null after the end. */
    next: null,
    /** What to ask: `none` the first page, `more` the next one; else `asked`, `loaded` or `failed`. */
    status: "none",
    /** Whether what is listed is to be dropped when the next page comes. */
    outdated: false,
    /** Position in the log when the page was asked for: what was touched later is newer than it. */
    askedAt: 0,
    retryAt: null,
  };
}

export const isListRequest = (requestId) => requestId === FIRST_PAGE || requestId === NEXT_PAGE;

/** The frame that asks for the page that is wanted, or null. */
export function listRequest(list, now) {
  if (list.retryAt !== null && list.retryAt > now) return null;
  if (list.status === "none") return { type: "list_threads", request_id: FIRST_PAGE, limit: PAGE };
  if (list.status !== "more") return null;
  return { type: "list_threads", request_id: NEXT_PAGE, limit: PAGE, before: list.next };
}

export const listAsked = (list, seq) => ({ ...list, status: "asked", askedAt: seq ?? 0, retryAt: null });

/** The reader has come to the end of what is listed. */
export const wantMore = (list) =>
  list.next !== null && list.status === "loaded" ? { ...list, status: "more" } : list;

/** The line of a request is gone, or what failed may work now: it is asked again. */
export function askAgain(list, { failedToo = false } = {}) {
  const again = list.status === "asked" || (failedToo && list.status === "failed");
  return again ? { ...list, status: "none" } : list;
}

/** Events were missed: the list is read afresh, and stays on the screen until then. */
export const outdate = (list) => ({ ...list, status: "none", outdated: true, retryAt: null });

export function listFailed(list, { retry_after_ms: retryAfterMs }, now) {
  if (retryAfterMs > 0) return { ...list, status: "none", retryAt: now + retryAfterMs };
  return { ...list, status: "failed" };
}

/** Takes in a `threads` reply; `gone` holds the ids of deleted threads. */
export function applyPage(list, frame, gone) {
  const isNext = frame.request_id === NEXT_PAGE;
  const known = new Map(list.items.map((item) => [item.id, item]));
  const items = list.outdated ? new Map(list.items.filter(({ touched }) => touched > list.askedAt).map((item) => [item.id, item])) : known;
  for (const summary of frame.threads) {
    if (gone[summary.thread_id]) continue;
    const before = known.get(summary.thread_id);
    items.set(summary.thread_id, merged(fromSummary(summary), before, list.askedAt));
  }
  // A first page that was only read again says nothing about where the listed ones end.
  const next = isNext || list.next === null || list.outdated ? frame.next : list.next;
  return { ...list, items: sorted([...items.values()]), next, status: "loaded", outdated: false };
}

function fromSummary({ thread_id: id, title, updated_at: updatedAt, active_run_id: runId }) {
  return { id, title, updatedAt: Date.parse(updatedAt), active: runId ? [runId] : [], touched: 0 };
}

function merged(item, before, askedAt) {
  if (before === undefined) return item;
  const updatedAt = Math.max(item.updatedAt, before.updatedAt);
  if (before.touched > askedAt) return { ...before, title: before.isNamed ? before.title : item.title, updatedAt };
  return { ...item, updatedAt, deleting: before.deleting };
}

/** Applies an event of a thread that is not gone. */
export function applyToList(list, event) {
  const { type, payload, thread_id: id, run_id: runId, seq } = event;
  const at = Date.parse(event.ts);
  switch (type) {
    case "message_created": {
      const { role, content, created_at: createdAt } = payload.message;
      const known = list.items.some((item) => item.id === id);
      const next = known ? list : { ...list, items: [...list.items, newItem(id, content)] };
      const changed = changeItem(next, id, seq, (item) => ({
        updatedAt: Math.max(item.updatedAt, Date.parse(createdAt)),
        active: role === "user" && runId ? withRun(item.active, runId) : item.active,
      }));
      // The title is the server's to make: until it is known, the first line stands in for it.
      return known ? changed : stale(changed);
    }
    case "run_finished":
      return changeItem(list, id, seq, (item) => ({ active: item.active.filter((run) => run !== runId) }));
    case "thread_updated":
      return changeItem(list, id, seq, () => ({ title: payload.title, isNamed: true }));
    case "thread_deleted":
      return withoutItem(list, id);
    default: {
      if (!RUN_SIGNS.has(type)) return list;
      const item = list.items.find((other) => other.id === id);
      if (item === undefined) return stale(list);
      if (item.active.includes(runId)) return list;
      return changeItem(list, id, seq, () => ({ active: withRun(item.active, runId), updatedAt: Math.max(item.updatedAt, at) }));
    }
  }
}

/** Changes the line of a thread by the user's own doing, before the server has said so. */
export function editItem(list, id, change) {
  return { ...list, items: list.items.map((item) => (item.id === id ? { ...item, ...change } : item)) };
}

export const withoutItem = (list, id) =>
  list.items.some((item) => item.id === id) ? { ...list, items: list.items.filter((item) => item.id !== id) } : list;

const stale = (list) => (list.status === "loaded" ? { ...list, status: "none" } : list);

const newItem = (id, content) => ({ id, title: firstLine(content), updatedAt: 0, active: [], touched: 0 });

const withRun = (active, runId) => (active.includes(runId) ? active : [...active, runId]);

function changeItem(list, id, seq, change) {
  const items = list.items.map((item) => (item.id === id ? { ...item, ...change(item), touched: seq } : item));
  return { ...list, items: sorted(items) };
}

function firstLine(text) {
  const line = text.split("\n").map((part) => part.trim()).find((part) => part !== "") ?? "…";
  return line.length > TITLE_CHARACTERS ? `${line.slice(0, TITLE_CHARACTERS).trimEnd()}…` : line;
}

/** Latest first, as the server sorts them. */
const sorted = (items) => items.toSorted((one, other) => other.updatedAt - one.updatedAt || (one.id < other.id ? 1 : -1));
