/**
 * What the page has sent, or will, and has no answer to yet. Pure, like the store it serves.
 *
 * An entry goes out once a connection; one whose answer was lost with its connection goes out again on
 * the next, and one that the server put off (`retry_after_ms`) when that time has come.
 */

/** An entry that was put off so often is given back to the user. */
const MAX_TRIES = 5;

/** Codes after which the same frame may be right a moment later; the server says when. */
const PUT_OFF = new Set(["rate_limited", "queue_full", "too_many_runs", "service_degraded"]);

/**
 * @param {{id: string} & Record<string, any>} fields `id` is the request's id on the wire
 */
export function newEntry(fields) {
  return { ...fields, status: "sending", sent: false, tries: 0, retryAt: null, error: null };
}

/** Whether an `error` frame says that the same may be tried again by itself, and when. */
export const isPutOff = (entry, frame) =>
  PUT_OFF.has(frame.code) && frame.retry_after_ms > 0 && entry.tries + 1 < MAX_TRIES;

/** The entry after an `error` frame that puts it off. */
export function putOff(entry, frame, now) {
  return { ...entry, sent: false, tries: entry.tries + 1, retryAt: now + frame.retry_after_ms, error: frame };
}

/** The entry once it is on its way. */
export const sent = (entry) => ({ ...entry, sent: true, retryAt: null });

/** The entry after its connection: whether it arrived is not known. */
export const unsent = (entry) => (entry.sent ? { ...entry, sent: false } : entry);

/** Whether the entry is to go out now. */
export const isDue = (entry, now) =>
  entry.status === "sending" && !entry.sent && (entry.retryAt === null || entry.retryAt <= now);

/** When the page must look again, in milliseconds; null when nothing was put off. */
export function nextDue(entries) {
  const times = entries.filter((entry) => entry.status === "sending" && entry.retryAt !== null);
  return times.length === 0 ? null : Math.min(...times.map((entry) => entry.retryAt));
}

/** The frame that asks a question; the same id every time, so that a repeat changes nothing. */
export function questionFrame(entry) {
  const frame = {
    type: "user_message",
    request_id: entry.id,
    client_message_id: entry.id,
    text: entry.text,
  };
  // The connection's current thread may be another tab's choice: the page always says which it means.
  if (entry.threadId === null) frame.new_thread = true;
  else frame.thread_id = entry.threadId;
  return frame;
}

/** The questions that are to go out now: those for a thread to be made wait for the first of them. */
export function dueQuestions(outbox, now) {
  const opening = new Set();
  return outbox.filter((entry) => {
    if (entry.threadId !== null) return isDue(entry, now);
    const first = !opening.has(entry.draft);
    if (entry.status === "sending") opening.add(entry.draft);
    return first && isDue(entry, now);
  });
}
