/** Draws a state of the store. It owns the DOM of the page and keeps nothing that the store knows. */

import { Composer } from "./composer.js";
import { byId, element, KeyedList, setText } from "./dom.js";
import { Follow } from "./follow.js";
import { AnswerView } from "./report.js";
import { currentThread, questionFrame } from "./store.js";
import { RunView } from "./timeline.js";
import { hasEnded } from "./turns.js";
import { connectionWord, errorWords, noticeWords, whyNotSending } from "./words.js";

const CLOCK_INTERVAL_MS = 250;

export class View {
  #actions;
  #reports;
  #follow;
  #composer;
  #turns;
  #outbox;
  #notices;
  #state = null;
  #clock = null;
  /** Takes every listener off the page again: the next user gets a view of their own. */
  #life = new AbortController();

  /**
   * @param {object} needs
   * @param {import("./report.js").Reports} needs.reports
   * @param {{ask(text: string): void, askAgain(id: string): void, withdraw(id: string): void,
   *   closeNotice(key: string): void, signOut(): void}} needs.actions
   */
  constructor({ reports, actions }) {
    this.#actions = actions;
    this.#reports = reports;
    const { signal } = this.#life;
    this.#follow = new Follow({ button: byId("jump"), signal });
    const turns = element("div", { class: "turns" });
    const outbox = element("div", { class: "outbox" });
    byId("conversation").replaceChildren(turns, outbox);
    this.#turns = new KeyedList(turns, { keyOf: (turn) => turn.key, create: (turn) => this.#createTurn(turn) });
    this.#outbox = new KeyedList(outbox, { keyOf: (entry) => entry.id, create: () => new OutboxView(actions) });
    this.#notices = new KeyedList(byId("notices"), { keyOf: (notice) => notice.key, create: () => new NoticeView(actions) });
    this.#composer = new Composer({
      form: byId("composer"),
      text: byId("composer-text"),
      send: byId("composer-send"),
      hint: byId("composer-hint"),
      onAsk: actions.ask,
      tooLong: (text) => this.#tooLong(text),
      signal,
    });
    for (const button of byId("examples").querySelectorAll("button")) {
      button.addEventListener("click", () => actions.ask(button.textContent), { signal });
    }
    byId("sign-out").addEventListener("click", actions.signOut, { signal });
  }

  focus() {
    this.#composer.focus();
  }

  /** Leaves the page as it was found. */
  close() {
    this.#life.abort();
    clearInterval(this.#clock);
    for (const id of ["identity", "sign-out", "composer-bar", "welcome", "loading"]) byId(id).hidden = true;
    for (const id of ["conversation", "notices"]) byId(id).replaceChildren();
  }

  render(state) {
    const before = this.#state;
    if (before === state) return;
    this.#state = state;
    this.#renderFrame(state);
    const thread = currentThread(state);
    this.#follow.during(() => {
      this.#notices.update(state.notices);
      this.#turns.update(thread?.turns ?? []);
      this.#outbox.update(state.outbox.filter((entry) => entry.shown));
    });
    this.#choosePlace(before, state);
    this.#runClock();
  }

  /** Where the reader is taken: to a question just asked, or to the last turn of what was loaded. */
  #choosePlace(before, state) {
    const turnsBefore = (before && currentThread(before)?.turns) ?? [];
    const turns = currentThread(state)?.turns ?? [];
    const asked = before !== null && state.outbox.length > before.outbox.length;
    const appeared = turns.length > 0 && turnsBefore.length === 0;
    if (!asked && !appeared) return;
    if (!asked && isOver(turns.at(-1))) this.#follow.pin(byId("conversation").querySelector(".turns > :last-child"));
    else this.#follow.toEnd();
  }

  /** What stands around the conversation. */
  #renderFrame(state) {
    const { connection, user } = state;
    byId("connection").dataset.status = connection.status;
    setText(byId("connection-word"), connectionWord(connection.status));
    byId("identity").hidden = user === null;
    if (user !== null) setText(byId("identity"), user.org === user.id ? user.id : `${user.id} · ${user.org}`);
    byId("sign-out").hidden = false;
    byId("composer-bar").hidden = false;
    byId("welcome").hidden = state.threadId !== null || state.outbox.length > 0;
    byId("loading").hidden = state.threadId === null || currentThread(state)?.history === "loaded" || currentThread(state)?.turns.length > 0;
    for (const button of byId("examples").querySelectorAll("button")) button.disabled = connection.status !== "online";
    this.#composer.update(whyNotSending(connection, Date.now()));
  }

  #createTurn(turn) {
    // An answer that was waited for is shown from its top; one that arrives with its turn is history.
    const awaited = turn.answer === null;
    const answer = new AnswerView({
      runId: turn.key,
      reports: this.#reports,
      onChange: (change, target) => (awaited ? this.#follow.reveal(change, target) : this.#follow.during(change)),
    });
    const run = new RunView({ serverNow: () => Date.now() + this.#state.clockOffsetMs, announce });
    return new TurnView({ run, answer });
  }

  /** @returns {string | null} */
  #tooLong(text) {
    const limit = this.#state.maxMessageBytes;
    const frame = questionFrame({ id: "0".repeat(32), text, threadId: "0".repeat(36) });
    const over = new TextEncoder().encode(JSON.stringify(frame)).length - limit + 1;
    return over > 0 ? `The message is too long by ${over} bytes.` : null;
  }

  /** Ticks only while there is something to count. */
  #runClock() {
    const { connection } = this.#state;
    const turns = currentThread(this.#state)?.turns ?? [];
    const working = !turns.every(isOver);
    const counting = connection.retryAt !== null || working;
    this.#follow.growing = working;
    if (counting && this.#clock === null) this.#clock = setInterval(() => this.#tick(), CLOCK_INTERVAL_MS);
    if (!counting && this.#clock !== null) {
      clearInterval(this.#clock);
      this.#clock = null;
    }
  }

  #tick() {
    this.#turns.each((turn) => turn.tick());
    this.#composer.update(whyNotSending(this.#state.connection, Date.now()));
  }
}

const isOver = ({ run }) => run === null || hasEnded(run);

class TurnView {
  element;
  #question = element("p", { class: "bubble" });
  #run;
  #answer;
  #ticking = false;

  constructor({ run, answer }) {
    this.#run = run;
    this.#answer = answer;
    this.element = element("article", { class: "turn" }, this.#question, run.element, answer.element);
  }

  update(turn) {
    this.#question.hidden = turn.question === null;
    setText(this.#question, turn.question?.text ?? "");
    this.#run.element.hidden = turn.run === null;
    if (turn.run !== null) this.#run.update(turn.run);
    this.#answer.update(turn.answer);
    this.#ticking = !isOver(turn);
  }

  tick() {
    if (this.#ticking) this.#run.tick();
  }
}

/** A question on its way: it looks like the bubble it will become. */
class OutboxView {
  element;
  #text = element("p", { class: "bubble pending" });
  #state = element("p", { class: "outbox-state" });
  #actions;

  constructor(actions) {
    this.#actions = actions;
    this.element = element("div", { class: "turn" }, this.#text, this.#state);
  }

  update(entry) {
    setText(this.#text, entry.text);
    this.#state.classList.toggle("problem", entry.status === "failed");
    if (entry.status !== "failed") return this.#state.replaceChildren("Sending…");
    const again = element("button", { type: "button", class: "link-button" }, "Try again");
    const drop = element("button", { type: "button", class: "link-button" }, "Discard");
    again.addEventListener("click", () => this.#actions.askAgain(entry.id));
    drop.addEventListener("click", () => this.#actions.withdraw(entry.id));
    this.#state.replaceChildren(errorWords(entry.error), " ", again, " ", drop);
  }
}

class NoticeView {
  element;
  #text = element("p");
  #close = element("button", { type: "button", class: "link-button" }, "Dismiss");

  constructor(actions) {
    this.element = element("div", { class: "notice" }, this.#text, this.#close);
    this.#close.addEventListener("click", () => actions.closeNotice(this.element.dataset.key));
  }

  update(notice) {
    this.element.dataset.key = notice.key;
    this.element.dataset.level = notice.level;
    setText(this.#text, noticeWords(notice));
  }
}

/** The sign-in form, on the page while nobody is signed in. */
export class SignInView {
  #onSignIn;

  /** @param {{onSignIn: (who: {sub: string, org: string}) => Promise<void>}} needs rejects with words for the user */
  constructor({ onSignIn }) {
    this.#onSignIn = onSignIn;
    byId("sign-in-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(new FormData(event.target));
    });
  }

  /** @param {string} [why] the reader has to sign in (again) */
  show(why = "") {
    byId("connection").dataset.status = "signed-out";
    setText(byId("connection-word"), "Signed out");
    setText(byId("sign-in-error"), why);
    byId("sign-in").hidden = false;
    byId("sign-in-name").focus();
  }

  hide() {
    byId("sign-in").hidden = true;
  }

  async #submit(form) {
    const button = byId("sign-in-form").querySelector("button");
    button.disabled = true;
    try {
      await this.#onSignIn({ sub: form.get("sub").trim(), org: form.get("org").trim() });
    } catch (error) {
      setText(byId("sign-in-error"), error.message);
    } finally {
      button.disabled = false;
    }
  }
}

/** Says something to screen readers, without a change on the screen. */
function announce(text) {
  const announcer = byId("announcer");
  announcer.append(element("p", {}, text));
  if (announcer.childElementCount > 20) announcer.firstElementChild.remove();
}
