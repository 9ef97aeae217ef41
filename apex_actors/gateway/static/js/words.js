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
  full: "The server takes no further connection: too many tabs may be open.",
  closed: "The server closed the connection.",
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

/** What a code means to people, or null where the server's own words must do. */
const errorWord = (code) => ERRORS[code] ?? null;

/** Why something waits to be sent again by itself, and how long. */
export function putOffWords({ error, retryAt }, now) {
  const seconds = Math.max(1, Math.ceil((retryAt - now) / 1000));
  return `${errorWord(error.code) ?? "The server is busy."} Sending again in ${seconds} s.`;
}

const ERRORS = {
  rate_limited: "Too many messages in a short time.",
  queue_full: "Too many questions are waiting already.",
  too_many_runs: "Too many questions are being answered already.",
  too_many_connections: "The server has no room for another connection.",
  unauthorized: "The sign-in is no longer valid.",
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
  const parts = [errorWord(code) ?? message ?? "Something went wrong."];
  if (retryAfterMs > 0) parts.push(`Try again in ${formatDuration(retryAfterMs)}.`);
  const report = reportId ?? details?.report_id;
  if (report) parts.push(`Error report ${report}.`);
  return parts.join(" ");
}

/**
 * The text of a notice kept in the store.
 *
 * @param {number} now milliseconds
 */
export function noticeWords(notice, now) {
  switch (notice.kind) {
    case "error":
      return errorWords(notice);
    case "service_degraded":
      return notice.message || `Not available right now: ${notice.components.join(", ") || "a part of the server"}.`;
    case "server_shutdown":
      return "The server is restarting. This page reconnects by itself, and running questions go on.";
    case "token_expiring":
      return `You will be signed out in ${formatClock(notice.endsAt - now)}.`;
    case "thread_deleted":
      return "This conversation was deleted elsewhere. You are in a new one.";
    default:
      return notice.message ?? "";
  }
}

const CHARTS = {
  "cost-by-model": ["Cost by model", "Bar chart: what each model cost. The table below has the figures."],
  "cost-by-feature": ["Cost by feature", "Bar chart: what each feature cost. The table below has the figures."],
  "cost-by-day": ["Cost by day", "Bar chart: the cost of each day. The table below has the figures week by week."],
  "savings-by-lever": ["Savings", "Bar chart: what each action would save a month. The table below has the figures."],
};

/** A chart's title, and what it shows for those who do not see it. */
export function chartWords(name) {
  const plain = name.replaceAll("-", " ");
  const [title, alt] = CHARTS[name] ?? [plain, `Chart: ${plain}.`];
  return { title, alt };
}

const DOCUMENTS = {
  "report.html": "Open as a page",
  "report.md": "Markdown",
  "report.csv": "Table (CSV)",
  "report.json": "Data (JSON)",
};

/** What a file of an answer is called on its button. */
export const downloadWords = (name) => DOCUMENTS[name] ?? name;

const ENDINGS = {
  failed: "The run failed",
  timed_out: "The run took too long and was stopped",
  cancelled: "The run was stopped",
};

/** The headline of a run: what happens now, or how it ended. */
export function runHeadline(run) {
  if (run.stopping) return "Stopping…";
  if (run.status === "queued") {
    return run.position > 0 ? `Waiting, ${run.position} before it` : "Waiting to start";
  }
  if (run.status === "running") {
    const working = run.steps.find((step) => step.status === "running");
    if (working) return `${agentName(working.agent)} at work`;
    return run.supervisor.message || "At work";
  }
  if (run.status === "completed") return run.partial ? "Answered in part" : "Answered";
  const ending = ENDINGS[run.status] ?? run.status;
  return run.partial ? `${ending}; answered in part` : ending;
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

const SAME_DAY = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const SAME_WEEK = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const SAME_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const LONG_AGO = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

/** A moment as short as it can be told: a time, a day of the week, a date. */
export function formatWhen(time, now) {
  const [then, today] = [new Date(time), new Date(now)];
  if (then.toDateString() === today.toDateString()) return SAME_DAY.format(then);
  const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate()).getTime();
  if (time >= midnight - 86_400_000) return "Yesterday";
  if (time >= midnight - 6 * 86_400_000) return SAME_WEEK.format(then);
  return (then.getFullYear() === today.getFullYear() ? SAME_YEAR : LONG_AGO).format(then);
}

/** The same moment in full. */
export const formatMoment = (time) => FULL.format(new Date(time));

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
