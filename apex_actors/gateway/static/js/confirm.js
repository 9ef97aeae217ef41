/** Asks whether something that cannot be undone is meant. */

import { byId, setText } from "./dom.js";

export class Confirmation {
  #dialog = byId("confirm");
  #answer = null;

  /** @param {{signal: AbortSignal}} needs ends the listening, and takes an open question for a no */
  constructor({ signal }) {
    byId("confirm-yes").addEventListener("click", () => this.#end(true), { signal });
    byId("confirm-no").addEventListener("click", () => this.#end(false), { signal });
    // Escape closes a dialog by itself.
    this.#dialog.addEventListener("close", () => this.#end(false), { signal });
    signal.addEventListener("abort", () => this.#end(false));
  }

  /**
   * @param {{title: string, text: string, action: string}} question
   * @returns {Promise<boolean>}
   */
  ask({ title, text, action }) {
    this.#end(false);
    setText(byId("confirm-title"), title);
    setText(byId("confirm-text"), text);
    setText(byId("confirm-yes"), action);
    this.#dialog.showModal();
    return new Promise((resolve) => (this.#answer = resolve));
  }

  #end(sure) {
    const answer = this.#answer;
    this.#answer = null;
    if (this.#dialog.open) this.#dialog.close();
    answer?.(sure);
  }
}
