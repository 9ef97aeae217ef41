/**
 * What the user does to threads and runs, as requests that are repeated until they are answered.
 * Pure, like the store it serves.
 */

import { newEntry } from "./outbox.js";

/** Asked twice this makes two of what was wanted once: after a lost connection the user decides. */
const NOT_REPEATABLE = new Set(["retry_run"]);

export const switchThread = (id, threadId) => newRequest(id, { type: "switch_thread", thread_id: threadId }, { threadId });

/** @param {string} before the title to go back to when the server refuses the new one */
export const renameThread = (id, threadId, title, before) =>
  newRequest(id, { type: "rename_thread", thread_id: threadId, title }, { threadId, before });

export const deleteThread = (id, threadId) => newRequest(id, { type: "delete_thread", thread_id: threadId }, { threadId });

export const cancelRun = (id, threadId, runId) => newRequest(id, { type: "cancel_run", run_id: runId }, { threadId, runId });

export const retryRun = (id, threadId, runId) => newRequest(id, { type: "retry_run", run_id: runId }, { threadId, runId });

/** Whether the request may go out again when its answer was lost. */
export const isRepeatable = (request) => !NOT_REPEATABLE.has(request.frame.type);

const newRequest = (id, frame, about) => newEntry({ id, about, frame: { ...frame, request_id: id } });
