/** Draws a state of the store. It owns the DOM of the page and keeps nothing that the store knows. */

import { AnswerView } from "./answer.js";
import { Composer } from "./composer.js";
import { byId, element, KeyedList, setText } from "./dom.js";
import { Follow } from "./follow.js";
import { questionFrame } from "./outbox.js";
import { Sidebar } from "./sidebar.js";
import { currentThread } from "./store.js";
import { RunView } from "./timeline.js";
import { isOver, TurnView } from "./turn.js";
import { connectionWord, errorWords, noticeWords, putOffWords, whyNotSending } from "./words.js";

const CLOCK_INTERVAL_MS = 250;
const TITLE = "Apex";

export class View {
  #actions;
  #reports;
  #artifacts;
  #follow;
  #composer;
  #turns;
  #outbox;
  #notices;
  #sidebar;
  #state = null;
  #clock = null;
  /** Takes every listener off the page again: the next user gets a view of their own. */
  #life = new AbortController();

  /**
   * @param {object} needs
   * @param {import("./report.js").Reports} needs.reports
   * @param {import("./artifacts.js").Artifacts} needs.artifacts
   * @param {{ask(text: string): void, askAgain(id: string): void, withdraw(id: string): void,
   *   stopRun(id: string): void, retryRun(id: string): void, beginChat(): void, openThread(id: string): void,
   *   renameThread(id: string, title: string): void, dropThread(id: string): void, wantThreads(): void, wantEarlier(): void,
   *   closeNotice(key: string): void, signOut(): void}} needs.actions
   */
  constructor({ reports, artifacts, actions }) {
    this.#actions = actions;
    this.#reports = reports;
    this.#artifacts = artifacts;
    const { signal } = this.#life;
    this.#follow = new Follow({ button: byId("jump"), signal });
    const turns = element("div", { class: "turns" });
    const outbox = element("div", { class: "outbox" });
    byId("conversation").replaceChildren(turns, outbox);
    this.#turns = new KeyedList(turns, { keyOf: (turn) => turn.key, create: (turn) => this.#createTurn(turn) });
    this.#outbox = new KeyedList(outbox, { keyOf: (entry) => entry.id, create: () => new OutboxView(actions) });
    this.#notices = new KeyedList(byId("notices"), { keyOf: (notice) => notice.key, create: () => new NoticeView(actions) });
    this.#sidebar = new Sidebar({ actions, signal });
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
    byId("earlier").addEventListener("click", actions.wantEarlier, { signal });
    byId("sign-out").addEventListener("click", actions.signOut, { signal });
  }

  focus() {
    this.#composer.focus();
  }

  /** Leaves the page as it was found. */
  close() {
    this.#life.abort();
    clearInterval(this.#clock);
    this.#sidebar.close();
    document.title = TITLE;
    for (const id of ["identity", "sign-out", "composer-bar", "welcome", "loading", "failed", "earlier"]) byId(id).hidden = true;
    for (const id of ["conversation", "notices"]) byId(id).replaceChildren();
  }

  render(state) {
    const before = this.#state;
    if (before === state) return;
    this.#state = state;
    this.#renderFrame(state);
    const thread = currentThread(state);
    const draw = () => {
      this.#notices.update(state.notices);
      this.#turns.update(thread?.turns ?? []);
      this.#outbox.update(state.outbox.filter((entry) => isHere(entry, state)));
      byId("earlier").hidden = (thread?.earlier ?? "none") === "none";
      setText(byId("earlier"), thread?.earlier === "asked" ? "Loading…" : "Show earlier messages");
    };
    const first = byId("conversation").querySelector(".turns > .turn");
    const known = before !== null && before.threadId === state.threadId ? currentThread(before) : null;
    if (first !== null && known?.earlier === "asked" && thread.turns[0] !== known.turns[0]) this.#follow.above(first, draw);
    else this.#follow.during(draw);
    this.#choosePlace(before, state);
    this.#runClock();
  }

  /** Where the reader is taken: to a question just asked, or to the last turn of what was loaded. */
  #choosePlace(before, state) {
    const turnsBefore = (before && currentThread(before)?.turns) ?? [];
    const turns = currentThread(state)?.turns ?? [];
    const asked = before !== null && state.outbox.length > before.outbox.length;
    // A new thread gets its id while its question is on the screen: that is no move.
    const moved = before !== null && before.threadId !== null && before.threadId !== state.threadId;
    const appeared = turns.length > 0 && (turnsBefore.length === 0 || moved);
    if (moved) this.#follow.toStart();
    if (moved && state.threadId === null) this.#composer.focus();
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
    const thread = currentThread(state);
    const { history = "none", turns = [] } = thread ?? {};
    byId("welcome").hidden = state.threadId !== null || state.outbox.some((entry) => isHere(entry, state));
    byId("loading").hidden = state.threadId === null || history === "loaded" || history === "failed" || turns.length > 0;
    byId("failed").hidden = history !== "failed" || turns.length > 0;
    const title = state.list.items.find(({ id }) => id === state.threadId)?.title;
    document.title = title ? `${title} · ${TITLE}` : TITLE;
    this.#sidebar.update({ list: state.list, threadId: state.threadId, online: connection.status === "online", now: Date.now() });
    for (const button of byId("examples").querySelectorAll("button")) button.disabled = connection.status !== "online";
    this.#composer.update(whyNotSending(connection, Date.now()));
  }

  #createTurn(turn) {
    // An answer that was waited for is shown from its top; one that arrives with its turn is history.
    const awaited = turn.answer === null;
    const answer = new AnswerView({
      runId: turn.key,
      reports: this.#reports,
      artifacts: this.#artifacts,
      onChange: (change, target) => (awaited ? this.#follow.reveal(change, target) : this.#follow.during(change)),
    });
    const run = new RunView({ serverNow: () => Date.now() + this.#state.clockOffsetMs, announce });
    return new TurnView({ run, answer, actions: this.#actions, announce });
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
    const { connection, notices, outbox } = this.#state;
    const turns = currentThread(this.#state)?.turns ?? [];
    const working = !turns.every(isOver);
    const waiting = notices.some(({ endsAt }) => endsAt) || outbox.some(({ retryAt }) => retryAt !== null);
    const counting = connection.retryAt !== null || working || waiting;
    this.#follow.growing = working;
    if (counting && this.#clock === null) this.#clock = setInterval(() => this.#tick(), CLOCK_INTERVAL_MS);
    if (!counting && this.#clock !== null) {
      clearInterval(this.#clock);
      this.#clock = null;
    }
  }

  #tick() {
    for (const list of [this.#turns, this.#outbox, this.#notices]) list.each((part) => part.tick());
    this.#composer.update(whyNotSending(this.#state.connection, Date.now()));
  }
}

/** Whether a question on its way belongs to what is on the screen. */
const isHere = ({ shown, threadId, draft }, state) =>
  shown && threadId === state.threadId && (threadId !== null || draft === state.draft);

/** A question on its way: it looks like the bubble it will become. */
class OutboxView {
  element;
  #text = element("p", { class: "bubble pending" });
  #state = element("p", { class: "outbox-state" });
  #word = element("span");
  #again = element("button", { type: "button", class: "link-button" }, "Try again");
  #drop = element("button", { type: "button", class: "link-button" }, "Discard");
  #entry = null;

  constructor(actions) {
    this.#state.append(this.#word, " ", this.#again, " ", this.#drop);
    this.element = element("div", { class: "turn" }, this.#text, this.#state);
    this.#again.addEventListener("click", () => actions.askAgain(this.#entry.id));
    this.#drop.addEventListener("click", () => actions.withdraw(this.#entry.id));
  }

  update(entry) {
    this.#entry = entry;
    const failed = entry.status === "failed";
    setText(this.#text, entry.text);
    this.#state.classList.toggle("problem", failed);
    this.#again.hidden = !failed;
    this.#drop.hidden = !failed && entry.retryAt === null;
    this.tick();
  }

  tick() {
    const { status, error, retryAt } = this.#entry;
    if (status === "failed") setText(this.#word, errorWords(error));
    else setText(this.#word, retryAt === null ? "Sending…" : putOffWords({ error, retryAt }, Date.now()));
  }
}

class NoticeView {
  element;
  #text = element("p");
  #close = element("button", { type: "button", class: "link-button" }, "Dismiss");
  #notice = null;

  constructor(actions) {
    this.element = element("div", { class: "notice" }, this.#text, this.#close);
    this.#close.addEventListener("click", () => actions.closeNotice(this.#notice.key));
  }

  update(notice) {
    // One that counts down is said once: read aloud each second it would drown out all else.
    if (notice.endsAt && this.#notice?.endsAt !== notice.endsAt) announce(noticeWords(notice, Date.now()));
    if (notice.endsAt) this.element.setAttribute("aria-live", "off");
    this.#notice = notice;
    this.element.dataset.level = notice.level;
    this.tick();
  }

  tick() {
    setText(this.#text, noticeWords(this.#notice, Date.now()));
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
