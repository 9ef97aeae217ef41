/** The question field. Typing is always possible; sending only when there is someone to send to. */

import { icon } from "./icons.js";
import { setText } from "./dom.js";

const HINT = "Enter sends, Shift + Enter starts a new line.";

export class Composer {
  #text;
  #send;
  #hint;
  #onAsk;
  #tooLong;
  #why = null;

  /**
   * @param {object} needs
   * @param {HTMLFormElement} needs.form
   * @param {HTMLTextAreaElement} needs.text
   * @param {HTMLButtonElement} needs.send
   * @param {HTMLElement} needs.hint
   * @param {(text: string) => void} needs.onAsk
   * @param {(text: string) => string | null} needs.tooLong why a text is too long to be sent, or null
   * @param {AbortSignal} needs.signal ends the listening
   */
  constructor({ form, text, send, hint, onAsk, tooLong, signal }) {
    this.#text = text;
    this.#send = send;
    this.#hint = hint;
    this.#onAsk = onAsk;
    this.#tooLong = tooLong;
    send.querySelector("svg")?.remove();
    send.append(icon("send"));
    const submit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    const keyPressed = (event) => {
      // While a word is being composed (Japanese, Chinese, …) Enter chooses the word.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    };
    form.addEventListener("submit", submit, { signal });
    text.addEventListener("keydown", keyPressed, { signal });
    text.addEventListener("input", () => this.#edited(), { signal });
  }

  /** @param {string | null} why nothing can be sent now, or null */
  update(why) {
    this.#why = why;
    this.#judge();
  }

  focus() {
    this.#text.focus();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (text === "" || this.#why !== null || this.#tooLong(text) !== null) return;
    this.#text.value = "";
    this.#edited();
    this.#onAsk(text);
  }

  #edited() {
    this.#judge();
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  #judge() {
    const text = this.#text.value.trim();
    const problem = this.#why ?? this.#tooLong(text);
    this.#send.disabled = text === "" || problem !== null;
    setText(this.#hint, problem ?? HINT);
    this.#hint.classList.toggle("problem", problem !== null);
  }
}
