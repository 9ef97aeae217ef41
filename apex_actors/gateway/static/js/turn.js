/** One turn on the page: the question, the run that works on it, the answer, and what can be done. */

import { element, setText } from "./dom.js";
import { icon } from "./icons.js";
import { canRetry, hasEnded } from "./turns.js";
import { oneLine } from "./words.js";

export const isOver = ({ run }) => run === null || hasEnded(run);

export class TurnView {
  element;
  #question = element("p", { class: "bubble" });
  #retryOf = element("p", { class: "retry-of muted" });
  #run;
  #answer;
  #stop;
  #retry;
  #actions;
  #turn = null;
  #announce;

  /**
   * @param {object} needs
   * @param {import("./timeline.js").RunView} needs.run
   * @param {import("./answer.js").AnswerView} needs.answer
   * @param {{stopRun(id: string): void, retryRun(id: string): void}} needs.actions
   * @param {(text: string) => void} needs.announce says something to screen readers
   */
  constructor({ run, answer, actions, announce }) {
    this.#run = run;
    this.#answer = answer;
    this.#actions = actions;
    this.#announce = announce;
    this.#stop = actionButton("stop");
    this.#retry = actionButton("again");
    this.#stop.addEventListener("click", () => this.#stopAsked());
    this.#retry.addEventListener("click", () => this.#retryAsked());
    this.element = element(
      "article",
      { class: "turn", tabindex: "-1" },
      this.#question,
      this.#retryOf,
      run.element,
      answer.element,
      element("div", { class: "turn-actions" }, this.#stop, this.#retry),
    );
  }

  update(turn) {
    this.#turn = turn;
    const { question, retryOf, run } = turn;
    this.#question.hidden = question === null;
    setText(this.#question, question?.text ?? "");
    this.#retryOf.hidden = retryOf === null;
    setText(this.#retryOf, retryOf === null ? "" : `Another try: ${oneLine(retryOf)}`);
    this.#run.element.hidden = run === null;
    if (run !== null) this.#run.update(run);
    this.#answer.update(turn.answer);
    const atStop = document.activeElement === this.#stop;
    this.#stop.hidden = isOver(turn);
    showBusy(this.#stop, run?.stopping, "Stopping…", "Stop");
    this.#retry.hidden = !canRetry(turn);
    showBusy(this.#retry, run?.retrying, "Trying again…", "Try again");
    // The keyboard does not lose its place with the button it was on.
    if (atStop && this.#stop.hidden) (this.#retry.hidden ? this.element : this.#retry).focus();
  }

  tick() {
    if (!isOver(this.#turn)) this.#run.tick();
  }

  #stopAsked() {
    if (this.#turn.run.stopping) return;
    this.#announce("Stopping");
    this.#actions.stopRun(this.#turn.key);
  }

  #retryAsked() {
    if (!this.#turn.run.retrying) this.#actions.retryRun(this.#turn.key);
  }
}

function actionButton(name) {
  return element("button", { type: "button", class: "action-button" }, icon(name), element("span"));
}

/** A button under way stays where the focus is: it is not disabled, it only does nothing. */
function showBusy(button, busy, doing, label) {
  button.setAttribute("aria-disabled", String(busy === true));
  setText(button.lastElementChild, busy === true ? doing : label);
}
