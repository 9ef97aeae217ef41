/** Plain words for what the protocol says in codes. Pure functions, no DOM. */

const AGENTS = {
  supervisor: "Supervisor",
  data: "Data agent",
  optimization: "Optimization agent",
  report: "Report agent",
};

export const agentName = (agent) => AGENTS[agent] ?? agent;

const STATUSES = {
  waiting: "waiting",
  queued: "waiting",
  running: "working",
  ok: "done",
  completed: "done",
  degraded: "done, with gaps",
  failed: "failed",
  error: "failed",
  timeout: "took too long",
  timed_out: "took too long",
  aborted: "stopped",
  cancelled: "stopped",
  skipped: "not run",
};

export const statusWord = (status) => STATUSES[status] ?? status;

const CONNECTION = {
  connecting: "Connecting",
  online: "Online",
  reconnecting: "Reconnecting",
  offline: "Offline",
};

export const connectionWord = (status) => CONNECTION[status] ?? status;

const LOST = {
  lost: "The connection was lost.",
  unreachable: "The server cannot be reached.",
  slow: "This page could not keep up and was disconnected; nothing is lost.",
  restarting: "The server is restarting.",
  busy: "The server asked this page to slow down.",
};

/**
 * Why nothing can be sent now, or null when it can.
 *
 * @param {{status: string, reason: string | null, retryAt: number | null}} connection
 * @param {number} now milliseconds
 */
export function whyNotSending({ status, reason, retryAt }, now) {
  if (status === "online") return null;
  if (status === "connecting") return "Connecting to the server…";
  const what = status === "offline" ? "You are offline." : LOST[reason] ?? LOST.lost;
  const seconds = retryAt === null ? 0 : Math.ceil((retryAt - now) / 1000);
  return seconds > 1 ? `${what} Trying again in ${seconds} s.` : `${what} Trying again…`;
}

const ERRORS = {
  rate_limited: "Too many messages in a short time.",
  queue_full: "Too many questions are waiting already.",
  too_many_runs: "Too many questions are being answered already.",
  thread_busy: "The question before this one is still being answered.",
  thread_not_found: "This conversation no longer exists.",
  run_not_found: "This answer no longer exists.",
  message_too_large: "The message is too long.",
  service_degraded: "A part of the server is not available right now.",
  draining: "The server is restarting.",
  internal_error: "The server made a mistake while handling this.",
};

/** One or two sentences for an `error` frame or a run's error. */
export function errorWords({ code, message, retry_after_ms: retryAfterMs, details, report_id: reportId }) {
  const parts = [ERRORS[code] ?? message ?? "Something went wrong."];
  if (retryAfterMs > 0) parts.push(`Try again in ${formatDuration(retryAfterMs)}.`);
  const report = reportId ?? details?.report_id;
  if (report) parts.push(`Error report ${report}.`);
  return parts.join(" ");
}

/** The text of a notice kept in the store. */
export function noticeWords(notice) {
  switch (notice.kind) {
    case "error":
      return errorWords(notice);
    case "service_degraded":
      return notice.message || `Not available right now: ${notice.components.join(", ") || "a part of the server"}.`;
    case "server_shutdown":
      return "The server is restarting. This page reconnects by itself, and running questions go on.";
    case "token_expiring":
      return `Your sign-in ends in ${formatDuration(notice.expiresInS * 1000)}.`;
    default:
      return notice.message ?? "";
  }
}

const ENDINGS = {
  failed: "The run failed",
  timed_out: "The run took too long and was stopped",
  cancelled: "The run was stopped",
};

/** The headline of a run: what happens now, or how it ended. */
export function runHeadline(run) {
  if (run.status === "queued") {
    return run.position > 0 ? `Waiting, ${run.position} before it` : "Waiting to start";
  }
  if (run.status === "running") {
    const working = run.steps.find((step) => step.status === "running");
    if (working) return `${agentName(working.agent)} at work`;
    return run.supervisor.message || "At work";
  }
  if (run.status === "completed") return run.partial ? "Answered in part" : "Answered";
  return ENDINGS[run.status] ?? run.status;
}

/** @param {number} ms */
export function formatDuration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/** A running clock shows whole seconds: tenths would only flicker. */
export function formatClock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return seconds < 60 ? `${seconds} s` : formatDuration(seconds * 1000);
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** A JSON value as one short line: `range: last 30 days · limit: 5`. */
export function oneLine(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(oneLine).join(", ");
  if (typeof value !== "object") return String(value);
  if (typeof value.summary === "string") return value.summary;
  return Object.entries(value)
    .filter(([, part]) => part !== null && part !== undefined && part !== "")
    .map(([name, part]) => `${name.replaceAll("_", " ")}: ${oneLine(part)}`)
    .join(" · ");
}
