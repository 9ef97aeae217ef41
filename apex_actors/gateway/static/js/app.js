/** Puts the page together: session, connection, store and view. Everything else is made of parts. */

import { Connection } from "./connection.js";
import { Reports } from "./report.js";
import { Session } from "./session.js";
import { historyRequest, initialState, questionFrame, reduce } from "./store.js";
import { SignInView, View } from "./view.js";

/** One signed-in user from sign-in to sign-out. */
class Chat {
  #session;
  #state;
  #view;
  #connection;
  #drawing = null;

  /** @param {{session: Session, onSignOut: () => void, onRefused: () => void}} needs */
  constructor({ session, onSignOut, onRefused }) {
    this.#session = session;
    this.#state = initialState({ threadId: session.threadId });
    this.#view = new View({
      reports: new Reports({ token: session.token }),
      actions: {
        ask: (text) => this.#ask(text),
        askAgain: (id) => this.#askAgain(id),
        withdraw: (id) => this.#dispatch({ type: "withdrawn", id }),
        closeNotice: (key) => this.#dispatch({ type: "notice_closed", key }),
        signOut: onSignOut,
      },
    });
    const url = new URL("/ws", window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.#connection = new Connection({
      url,
      token: session.token,
      cursor: () => this.#state.cursor,
      onFrame: (frame) => this.#dispatch({ type: "frame", frame, now: Date.now() }),
      onStatus: (status) => this.#statusChanged(status),
      onRefused,
      isRefused: () => session.isRefused(),
    });
  }

  open() {
    this.#connection.open();
    this.#view.focus();
  }

  close() {
    this.#connection.close();
    cancelAnimationFrame(this.#drawing);
    this.#view.close();
  }

  #ask(text) {
    const id = newId();
    this.#dispatch({ type: "asked", id, text });
    this.#deliver(id);
  }

  #askAgain(id) {
    this.#dispatch({ type: "asked_again", id });
    this.#deliver(id);
  }

  #deliver(id) {
    this.#connection.send(questionFrame(this.#state.outbox.find((entry) => entry.id === id)));
  }

  #statusChanged(status) {
    this.#dispatch({ type: "connection", ...status });
    if (status.status !== "online") return;
    // Whether a message that was not acknowledged arrived is not known: sent again under the same id,
    // it is stored once.
    for (const entry of this.#state.outbox) {
      if (entry.status === "sending") this.#connection.send(questionFrame(entry));
    }
  }

  #dispatch(action) {
    const before = this.#state;
    this.#state = reduce(before, action);
    if (this.#state === before) return;
    if (this.#state.threadId !== before.threadId) this.#session.threadId = this.#state.threadId;
    if (this.#state.gap && !before.gap) this.#connection.resume();
    const request = historyRequest(this.#state);
    if (request !== null && this.#connection.send(request)) {
      this.#dispatch({ type: "history_requested", threadId: request.thread_id });
    }
    // Many frames may come in one breath: one drawing for all of them.
    this.#drawing ??= requestAnimationFrame(() => {
      this.#drawing = null;
      this.#view.render(this.#state);
    });
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
