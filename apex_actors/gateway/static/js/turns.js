/** The turns of one thread, from durable events or from its history. Pure, like the store it serves. */

/** The order in which sub-agents work; they are drawn from the start, so that nothing jumps later. */
export const SUB_AGENTS = Object.freeze(["data", "optimization", "report"]);

const ENDED = new Set(["completed", "failed", "timed_out", "cancelled"]);

export const hasEnded = (run) => ENDED.has(run.status);

function newStep(agent) {
  return {
    agent,
    status: "waiting",
    message: null,
    durationMs: null,
    result: null,
    progress: null,
    /** Thoughts and tool calls in the order in which they came. */
    activity: [],
  };
}

function newRun(id, { position = 0 } = {}) {
  return {
    id,
    status: "queued",
    position,
    partial: false,
    error: null,
    /** When the question was stored and when all was over; server time in milliseconds. */
    askedAt: null,
    endedAt: null,
    resumes: 0,
    supervisor: newStep("supervisor"),
    steps: SUB_AGENTS.map(newStep),
  };
}

/** @param {string} runId a turn is known by its run */
export function newTurn(runId, { question = null, position = 0 } = {}) {
  return { key: runId, question, run: newRun(runId, { position }), answer: null };
}

/** Applies one event of this thread; events of no run leave the turns as they are. */
export function applyEvent(turns, event) {
  if (!event.run_id) return turns;
  const known = turns.some((turn) => turn.key === event.run_id);
  const all = known ? turns : [...turns, newTurn(event.run_id)];
  return all.map((turn) => (turn.key === event.run_id ? applyToTurn(turn, event) : turn));
}

function applyToTurn(turn, event) {
  const { type, payload } = event;
  if (type === "message_created") {
    const { id, role, content, created_at: createdAt } = payload.message;
    return role === "user"
      ? { ...turn, question: { id, text: content }, run: { ...(turn.run ?? newRun(turn.key)), askedAt: Date.parse(createdAt) } }
      : { ...turn, answer: { artifacts: [], ...turn.answer, text: content } };
  }
  if (type === "final_response") {
    return { ...turn, answer: { text: payload.content, artifacts: payload.artifacts ?? [] } };
  }
  return { ...turn, run: applyToRun(turn.run ?? newRun(turn.key), event) };
}

function applyToRun(run, event) {
  const { type, payload, agent } = event;
  switch (type) {
    case "run_queued":
      return { ...run, position: payload.position };
    case "run_resumed":
      return { ...run, resumes: run.resumes + 1 };
    case "run_finished":
      return endRun({ ...run, status: payload.status, partial: payload.partial ?? false, error: payload.error ?? null, endedAt: Date.parse(event.ts) });
    case "agent_started":
      if (agent === "supervisor") run = { ...run, status: "running" };
      return changeStep(run, agent, () => ({ status: "running", message: payload.message, durationMs: null }));
    case "agent_thinking":
      return changeStep(run, agent, (step) => ({
        progress: payload.progress ?? step.progress,
        activity: [...step.activity, { key: event.event_id, kind: "thought", text: payload.reasoning }],
      }));
    case "tool_executing":
      return changeStep(run, agent, (step) => ({
        activity: [...step.activity, newTool({ ...payload, status: "running" })],
      }));
    case "tool_completed":
      return changeStep(run, agent, (step) => ({
        activity: step.activity.map((item) =>
          item.key === payload.tool_call_id
            ? { ...item, status: payload.status, result: payload.result ?? null, durationMs: payload.duration_ms }
            : item,
        ),
      }));
    case "agent_completed":
      return changeStep(run, agent, () => ({ status: payload.status, result: payload.result ?? null, durationMs: payload.duration_ms, progress: null }));
    default:
      return run;
  }
}

const newTool = (call) => ({
  key: call.tool_call_id,
  kind: "tool",
  tool: call.tool,
  arguments: call.arguments ?? {},
  status: call.status,
  result: call.result ?? null,
  durationMs: call.duration_ms ?? null,
});

function changeStep(run, agent, change) {
  if (agent === "supervisor") return { ...run, supervisor: { ...run.supervisor, ...change(run.supervisor) } };
  const known = run.steps.some((step) => step.agent === agent);
  const steps = known ? run.steps : [...run.steps, newStep(agent)];
  return { ...run, steps: steps.map((step) => (step.agent === agent ? { ...step, ...change(step) } : step)) };
}

/** Nothing is left running on the screen after the run has ended. */
function endRun(run) {
  return {
    ...run,
    steps: run.steps.map((step) => (step.status === "waiting" ? { ...step, status: "skipped" } : step)),
  };
}

/** Builds the turns of a `thread_history` reply; what the thread held before is replaced. */
export function applyHistory({ messages, runs }) {
  const turns = new Map();
  const turnOf = (key) => {
    if (!turns.has(key)) turns.set(key, { key, question: null, run: null, answer: null });
    return turns.get(key);
  };
  const times = new Map();
  for (const message of messages) {
    const turn = turnOf(message.run_id ?? message.id);
    const time = times.get(turn.key) ?? { askedAt: null, endedAt: null };
    if (message.role === "user") {
      turn.question = { id: message.id, text: message.content };
      time.askedAt = Date.parse(message.created_at);
    } else {
      turn.answer = { text: message.content, artifacts: [] };
      time.endedAt = Date.parse(message.created_at);
    }
    times.set(turn.key, time);
  }
  for (const run of runs) turnOf(run.run_id).run = { ...runFromHistory(run), ...times.get(run.run_id) };
  return [...turns.values()];
}

function runFromHistory({ run_id: id, status, steps }) {
  let run = { ...newRun(id), status: status === "waiting" ? "queued" : status };
  for (const step of steps) {
    const thoughts = step.thinking.map(({ reasoning }, index) => ({ key: `thought-${index}`, kind: "thought", text: reasoning }));
    run = changeStep(run, step.agent, () => ({
      status: step.status,
      result: step.result,
      progress: step.thinking.at(-1)?.progress ?? null,
      activity: [...thoughts, ...step.tools.map(newTool)],
    }));
  }
  run.supervisor = { ...run.supervisor, status: supervisorStatus(run) };
  return hasEnded(run) ? endRun(run) : run;
}

/** A run's state lists the steps of its sub-agents; how the supervisor fared follows from them. */
function supervisorStatus({ status, steps }) {
  if (status === "completed") return steps.every((step) => step.status === "ok") ? "ok" : "degraded";
  if (hasEnded({ status })) return steps.some((step) => step.status !== "waiting") ? "failed" : "skipped";
  return status === "running" ? "running" : "waiting";
}
