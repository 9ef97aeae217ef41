/** Puts the page together: session, connection, store and view. Everything else is made of parts. */

import { Artifacts } from "./artifacts.js";
import { Connection } from "./connection.js";
import { Reports } from "./report.js";
import { Session } from "./session.js";
import { dueFrames, initialState, nextFrameAt, reduce } from "./store.js";
import { SignInView, View } from "./view.js";

const TOKEN_REQUEST = "token";

/** Clocks of browsers are coarse: what is due "now" is looked at a little later. */
const MIN_WAIT_MS = 50;

/** One signed-in user from sign-in to sign-out. */
class Chat {
  #session;
  #state;
  #view;
  #connection;
  #drawing = null;
  #timer = null;
  /** Offered to the server and not accepted yet; it never becomes a part of the state. */
  #laterToken = null;
  #expiring = null;
  #closed = false;

  /** @param {{session: Session, onSignOut: () => void, onRefused: () => void}} needs */
  constructor({ session, onSignOut, onRefused }) {
    this.#session = session;
    this.#state = initialState(session.place);
    this.#view = new View({
      reports: new Reports({ token: () => session.token }),
      artifacts: new Artifacts({ token: () => session.token, serverNow: () => Date.now() + this.#state.clockOffsetMs }),
      actions: {
        ask: (text) => this.#act("asked", { text }),
        askAgain: (id) => this.#dispatch({ type: "asked_again", id }),
        withdraw: (id) => this.#dispatch({ type: "withdrawn", id }),
        stopRun: (runId) => this.#act("run_stopped", { runId }),
        retryRun: (runId) => this.#act("run_retried", { runId }),
        beginChat: () => this.#beginChat(),
        openThread: (threadId) => this.#openThread(threadId),
        renameThread: (threadId, title) => this.#act("thread_renamed", { threadId, title }),
        dropThread: (threadId) => this.#act("thread_dropped", { threadId }),
        wantThreads: () => this.#dispatch({ type: "threads_wanted" }),
        wantEarlier: () => this.#dispatch({ type: "earlier_wanted" }),
        closeNotice: (key) => this.#dispatch({ type: "notice_closed", key }),
        signOut: onSignOut,
      },
    });
    const url = new URL("/ws", window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.#connection = new Connection({
      url,
      token: () => session.token,
      cursor: () => this.#state.cursor,
      onFrame: (frame) => this.#received(frame),
      onStatus: (status) => this.#dispatch({ type: "connection", ...status }),
      onRefused,
      whyRefused: () => session.whyRefused(),
    });
  }

  open() {
    this.#connection.open();
    this.#view.focus();
  }

  close() {
    this.#closed = true;
    this.#connection.close();
    cancelAnimationFrame(this.#drawing);
    clearTimeout(this.#timer);
    this.#view.close();
  }

  #received(frame) {
    if (frame.type === "token_expiring") this.#renewToken(frame);
    else if (frame.request_id === TOKEN_REQUEST) this.#tokenAnswered(frame);
    else this.#dispatch({ type: "frame", frame, now: Date.now() });
  }

  /** The user hears of it only where nothing can be done about it. */
  async #renewToken(notice) {
    const told = Date.now();
    this.#laterToken = await this.#session.renew();
    if (this.#closed) return;
    const asked = this.#laterToken !== null && this.#connection.send({ type: "refresh_token", request_id: TOKEN_REQUEST, token: this.#laterToken });
    if (!asked) this.#dispatch({ type: "frame", frame: notice, now: told });
    this.#expiring = { notice, told };
  }

  #tokenAnswered(frame) {
    if (frame.type === "token_refreshed") {
      this.#session.accept(this.#laterToken);
      this.#dispatch({ type: "frame", frame, now: Date.now() });
    } else if (this.#expiring !== null) {
      this.#dispatch({ type: "frame", frame: this.#expiring.notice, now: this.#expiring.told });
    }
    this.#laterToken = null;
  }

  #act(type, fields) {
    this.#dispatch({ type, id: newId(), ...fields });
  }

  #beginChat() {
    this.#dispatch({ type: "chat_begun" });
    this.#view.focus();
  }

  #openThread(threadId) {
    if (threadId !== this.#state.threadId) this.#act("thread_opened", { threadId });
    // Where there is no keyboard, one would come up over what the reader wants to see.
    if (window.matchMedia("(hover: hover)").matches) this.#view.focus();
  }

  #dispatch(action) {
    const before = this.#state;
    this.#state = reduce(before, action);
    if (this.#state === before) return;
    const { threadId, blank } = this.#state;
    if (threadId !== before.threadId || blank !== before.blank) this.#session.place = { threadId, blank };
    if (this.#state.gap && !before.gap) this.#connection.resume();
    this.#deliver();
    // Many frames may come in one breath: one drawing for all of them.
    this.#drawing ??= requestAnimationFrame(() => {
      this.#drawing = null;
      this.#view.render(this.#state);
    });
  }

  /** Sends what is due, one by one: each that went out changes what is due next. */
  #deliver() {
    clearTimeout(this.#timer);
    const [next] = dueFrames(this.#state, Date.now());
    if (next !== undefined && this.#connection.send(next.frame)) return this.#dispatch(next.action);
    const at = nextFrameAt(this.#state);
    if (at !== null) this.#timer = setTimeout(() => this.#deliver(), Math.max(MIN_WAIT_MS, at - Date.now()));
  }
}

/** Unique for this user; `crypto.randomUUID` is missing on plain-HTTP pages. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function main() {
  const session = new Session({ storage: window.sessionStorage });
  let chat = null;
  const leave = (why) => {
    chat?.close();
    chat = null;
    signIn.show(why);
  };
  const signedIn = () => {
    chat?.close();
    signIn.hide();
    chat = new Chat({
      session,
      onSignOut: () => {
        session.signOut();
        leave();
      },
      onRefused: () => {
        session.expire();
        leave("Your sign-in is no longer valid. Please sign in again.");
      },
    });
    chat.open();
  };
  const signIn = new SignInView({
    onSignIn: async (who) => {
      await session.signIn(who);
      signedIn();
    },
  });
  // A link with a token may be opened in a tab that is on this page already: that loads nothing.
  window.addEventListener("hashchange", () => {
    if (session.takeFromAddress(window.location, window.history)) signedIn();
  });
  session.takeFromAddress(window.location, window.history);
  if (session.token === null) signIn.show();
  else signedIn();
}

main();
