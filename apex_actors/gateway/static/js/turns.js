/** The turns of one thread, from durable events or from its history. Pure, like the store it serves. */

/** The order in which sub-agents work; they are drawn from the start, so that nothing jumps later. */
export const SUB_AGENTS = Object.freeze(["data", "optimization", "report"]);

const ENDED = new Set(["completed", "failed", "timed_out", "cancelled"]);

export const hasEnded = (run) => ENDED.has(run.status);

/** Whether the server takes another try at the question of a turn: it is the last, and did not complete. */
export const canRetry = ({ run, superseded }) => run !== null && !superseded && hasEnded(run) && run.status !== "completed";

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
    /** The user has asked to stop it, or to try it again, and the server has not said how that went. */
    stopping: false,
    retrying: false,
    supervisor: newStep("supervisor"),
    steps: SUB_AGENTS.map(newStep),
  };
}

/** @param {string} runId a turn is known by its run */
export function newTurn(runId, { question = null, position = 0 } = {}) {
  return { ...emptyTurn(runId), question, messageId: question?.id ?? null, run: newRun(runId, { position }) };
}

const emptyTurn = (key) => ({
  key,
  question: null,
  /** The message that the run answers: that of another turn where this one is a second try. */
  messageId: null,
  /** What was asked, where this is a second try: the question itself stands further up. */
  retryOf: null,
  /** Whether a later turn tries the same message again. */
  superseded: false,
  run: null,
  answer: null,
});

/** Changes the run of a turn by the user's own doing. */
export function changeRun(turns, runId, change) {
  return turns.map((turn) => (turn.run?.id === runId ? { ...turn, run: { ...turn.run, ...change } } : turn));
}

/** Adds the turn of a second try, or tells one that is there by its events already whose it is. */
export function withRetry(turns, { runId, messageId, position = 0, askedAt }) {
  const question = turns.find((turn) => turn.question?.id === messageId)?.question ?? null;
  const known = turns.some(({ key }) => key === runId);
  const all = known ? turns : [...turns, newTurn(runId, { position })];
  const told = all.map((turn) =>
    turn.key === runId && turn.question === null
      ? { ...turn, messageId, retryOf: question?.text ?? null, run: { ...turn.run, askedAt: turn.run.askedAt ?? askedAt } }
      : turn,
  );
  return markSuperseded(told);
}

function markSuperseded(turns) {
  const last = new Map(turns.filter(({ messageId }) => messageId !== null).map((turn) => [turn.messageId, turn.key]));
  return turns.map((turn) => {
    const superseded = turn.messageId !== null && last.get(turn.messageId) !== turn.key;
    return superseded === turn.superseded ? turn : { ...turn, superseded };
  });
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
      ? { ...turn, question: { id, text: content }, messageId: id, run: { ...(turn.run ?? newRun(turn.key)), askedAt: Date.parse(createdAt) } }
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
      return { ...run, position: payload.position, askedAt: run.askedAt ?? Date.parse(event.ts) };
    case "run_resumed":
      return { ...run, resumes: run.resumes + 1 };
    case "run_finished":
      return endRun({ ...run, status: payload.status, partial: payload.partial ?? false, error: payload.error ?? null, endedAt: Date.parse(event.ts) });
    case "agent_started":
      if (agent === "supervisor") run = { ...run, status: "running", askedAt: run.askedAt ?? Date.parse(event.ts) };
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
    stopping: false,
    steps: run.steps.map((step) => (step.status === "waiting" ? { ...step, status: "skipped" } : step)),
  };
}

/**
 * Builds the turns of a `thread_history` reply.
 *
 * @param {object[]} [before] what the thread held: replaced, but for what only this page knows
 */
export function applyHistory({ messages, runs }, before = []) {
  const turns = new Map();
  const times = new Map();
  const turnOf = (key, time) => {
    if (!turns.has(key)) turns.set(key, emptyTurn(key));
    if (!times.has(key) && time) times.set(key, Date.parse(time));
    return turns.get(key);
  };
  for (const run of runs) {
    const turn = turnOf(run.run_id, run.accepted_at);
    const mine = before.find(({ key }) => key === run.run_id)?.run;
    turn.run = runFromHistory(run, hasEnded(run) ? undefined : mine);
    turn.messageId = run.message_id ?? null;
  }
  for (const message of messages) {
    const turn = turnOf(message.run_id ?? message.id, message.created_at);
    if (message.role === "user") {
      turn.question = { id: message.id, text: message.content };
      turn.messageId = message.id;
    } else {
      turn.answer = { text: message.content, artifacts: [] };
    }
  }
  const questions = new Map(messages.map(({ id, content }) => [id, content]));
  for (const turn of turns.values()) {
    if (turn.question === null) turn.retryOf = questions.get(turn.messageId) ?? null;
  }
  const inOrder = [...turns.values()].sort((one, other) => times.get(one.key) - times.get(other.key) || 0);
  return markSuperseded(inOrder);
}

/** Puts an earlier page before the turns of a thread; a turn whose parts lie on both pages is one. */
export function withEarlier(turns, page) {
  const earlier = new Map(applyHistory(page).map((turn) => [turn.key, turn]));
  const completed = turns.map((turn) => {
    const part = earlier.get(turn.key);
    if (part === undefined) return turn;
    earlier.delete(turn.key);
    const [question, messageId, retryOf] = [turn.question ?? part.question, turn.messageId ?? part.messageId, turn.retryOf ?? part.retryOf];
    return { ...turn, question, messageId, retryOf: question === null ? retryOf : null, run: turn.run ?? part.run, answer: turn.answer ?? part.answer };
  });
  return markSuperseded([...earlier.values(), ...completed]);
}

function runFromHistory(state, { stopping = false, retrying = false } = {}) {
  const { run_id: id, status, steps } = state;
  const timeOf = (text) => (text ? Date.parse(text) : null);
  let run = {
    ...newRun(id),
    status: status === "waiting" ? "queued" : status,
    partial: state.partial ?? false,
    error: state.error ?? null,
    askedAt: timeOf(state.accepted_at),
    endedAt: timeOf(state.finished_at),
    stopping,
    retrying,
  };
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
