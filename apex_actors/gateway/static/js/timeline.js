/** The live timeline of a run: the supervisor and its agents, what they think, and each tool call. */

import { element, KeyedList, setText } from "./dom.js";
import { icon, StatusIcon } from "./icons.js";
import { hasEnded } from "./turns.js";
import { agentName, errorWords, formatClock, formatDuration, oneLine, plural, runHeadline, statusWord } from "./words.js";

export class RunView {
  element = element("details", { class: "run" });
  #status = new StatusIcon();
  #headline = element("span", { class: "run-headline" });
  #facts = element("span", { class: "run-facts" });
  #clock = element("span", { class: "clock" });
  #error = element("p", { class: "run-error", hidden: true });
  #steps;
  #run = null;
  #serverNow;
  #announce;

  /**
   * @param {object} needs
   * @param {() => number} needs.serverNow milliseconds in the server's time
   * @param {(text: string) => void} needs.announce says a milestone to screen readers
   */
  constructor({ serverNow, announce }) {
    this.#serverNow = serverNow;
    this.#announce = announce;
    const steps = element("ol", { class: "steps" });
    this.#steps = new KeyedList(steps, {
      keyOf: (step) => step.agent,
      create: (step) => new StepView(step, this.#announce),
    });
    const head = element("summary", { class: "run-head" }, this.#status.element, this.#headline, this.#facts, this.#clock, icon("chevron"));
    this.element.append(head, steps, this.#error);
  }

  update(run) {
    // Once: a run that is watched stays open when it ends, since folding it away would move the page.
    if (this.#run === null) this.element.open = !hasEnded(run);
    else if (!hasEnded(this.#run) && hasEnded(run)) this.#announce(runHeadline(run));
    this.#run = run;
    this.element.dataset.status = run.status;
    this.#status.update(run.status === "completed" && run.partial ? "degraded" : run.status);
    setText(this.#headline, runHeadline(run));
    const calls = run.steps.flatMap((step) => step.activity).filter((item) => item.kind === "tool").length;
    const facts = [];
    if (run.resumes > 0) facts.push("taken over by another worker");
    if (calls > 0) facts.push(plural(calls, "tool call"));
    setText(this.#facts, facts.join(" · "));
    this.#steps.update([run.supervisor, ...run.steps]);
    this.#error.hidden = run.error === null;
    if (run.error !== null) setText(this.#error, errorWords(run.error));
    this.tick();
  }

  /** Moves the clock on: the time since the question was stored, waiting included. */
  tick() {
    const { askedAt, endedAt } = this.#run;
    if (askedAt === null) return;
    if (endedAt !== null) setText(this.#clock, formatDuration(endedAt - askedAt));
    else if (!hasEnded(this.#run)) setText(this.#clock, formatClock(this.#serverNow() - askedAt));
  }
}

class StepView {
  element;
  #status = new StatusIcon();
  #word = element("span", { class: "visually-hidden" });
  #message = element("span", { class: "step-message" });
  #duration = element("span", { class: "duration" });
  #progress;
  #activity;
  #result = element("p", { class: "step-result", hidden: true });
  #shown = null;
  #name;
  #announce;

  constructor(step, announce) {
    this.#name = agentName(step.agent);
    this.#announce = announce;
    this.#progress = element("progress", { class: "step-progress", max: "1", value: "0", "aria-label": `${this.#name}: progress` });
    const activity = element("ul", { class: "activity" });
    this.#activity = new KeyedList(activity, {
      keyOf: (item) => item.key,
      create: (item) => (item.kind === "tool" ? new ToolView() : new ThoughtView()),
    });
    this.element = element(
      "li",
      { class: "step", "data-agent": step.agent },
      element("div", { class: "step-head" }, this.#status.element, element("strong", { class: "step-name" }, this.#name), this.#word, this.#message, this.#duration),
      this.#progress,
      activity,
      this.#result,
    );
  }

  update(step) {
    if (this.#shown !== null && this.#shown !== step.status) this.#announce(`${this.#name}: ${statusWord(step.status)}`);
    this.#shown = step.status;
    this.element.dataset.status = step.status;
    this.#status.update(step.status);
    setText(this.#word, `, ${statusWord(step.status)}`);
    setText(this.#message, step.status === "skipped" ? "not run" : step.message ?? "");
    setText(this.#duration, step.durationMs === null ? "" : formatDuration(step.durationMs));
    this.#progress.hidden = step.status !== "running" || step.agent === "supervisor";
    this.#progress.value = step.progress ?? 0;
    this.#activity.update(step.activity);
    const result = oneLine(step.result);
    this.#result.hidden = result === "";
    setText(this.#result, result);
  }
}

class ThoughtView {
  element = element("li", { class: "thought" });

  update(thought) {
    setText(this.element, thought.text);
  }
}

/** A tool call: one line that opens to its arguments and its result. */
class ToolView {
  element;
  #status = new StatusIcon();
  #word = element("span", { class: "visually-hidden" });
  #name = element("code", { class: "tool-name" });
  #arguments = element("span", { class: "tool-arguments" });
  #duration = element("span", { class: "duration" });
  #result = element("span", { class: "tool-result" });
  #details = element("div", { class: "tool-details" });

  constructor() {
    const first = element("span", { class: "tool-line" }, this.#status.element, this.#name, this.#word, this.#arguments, this.#duration);
    this.element = element("li", { class: "tool" }, element("details", {}, element("summary", {}, first, this.#result), this.#details));
  }

  update(tool) {
    this.element.dataset.tool = tool.tool;
    this.element.dataset.status = tool.status;
    this.#status.update(tool.status);
    setText(this.#name, tool.tool);
    setText(this.#word, `, ${statusWord(tool.status)}`);
    setText(this.#arguments, oneLine(tool.arguments));
    setText(this.#duration, tool.durationMs === null ? "" : formatDuration(tool.durationMs));
    // The line of the result is there from the start, so that the page does not move when it comes.
    setText(this.#result, oneLine(tool.result) || statusWord(tool.status));
    this.#details.replaceChildren(
      element("h3", {}, "Arguments"),
      element("pre", { tabindex: "0" }, JSON.stringify(tool.arguments, null, 2)),
      element("h3", {}, "Result"),
      element("pre", { tabindex: "0" }, typeof tool.result === "string" ? tool.result : JSON.stringify(tool.result, null, 2)),
    );
  }
}
