/** Decides what of the page is in view while it grows, so that a reader never loses their place. */

/** So near to the bottom still counts as being there. */
const SLACK_PX = 64;

/** What a reader does to move through the page. */
const READER_MOVES = ["wheel", "touchmove", "pointerdown", "keydown"];

/**
 * A reader at the bottom is kept there; one who is elsewhere is left alone. After a conversation was
 * loaded its last turn is held at the top until the reader moves, whatever grows above it.
 */
export class Follow {
  #button;
  #growing = false;
  #pinned = null;

  /**
   * @param {object} needs
   * @param {HTMLElement} needs.button leads back to the bottom while the reader is elsewhere
   * @param {AbortSignal} needs.signal ends the listening
   */
  constructor({ button, signal }) {
    this.#button = button;
    button.addEventListener("click", () => this.toEnd(), { signal });
    window.addEventListener("scroll", () => this.#updateButton(), { passive: true, signal });
    window.addEventListener("resize", () => this.#updateButton(), { signal });
    for (const move of READER_MOVES) {
      window.addEventListener(move, () => (this.#pinned = null), { passive: true, signal });
    }
  }

  atEnd() {
    const { scrollHeight } = document.documentElement;
    return scrollHeight - window.innerHeight - window.scrollY < SLACK_PX;
  }

  toEnd() {
    this.#pinned = null;
    window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  /** Another conversation begins at its top until it is known where the reader is taken. */
  toStart() {
    this.#pinned = null;
    window.scrollTo({ top: 0 });
  }

  /** Holds an element at the top until the reader moves. */
  pin(target) {
    this.#pinned = target;
    target.scrollIntoView({ block: "start" });
  }

  /** Makes a change that adds to the page above an element, which stays where it is on the screen. */
  above(target, change) {
    this.#pinned = null;
    const before = target.getBoundingClientRect().top;
    change();
    window.scrollBy({ top: target.getBoundingClientRect().top - before });
    this.#updateButton();
  }

  /** Makes a change that adds to the page. */
  during(change) {
    this.#change(change, () => this.toEnd());
  }

  /** Makes a change that brings something to be read from its top, like an answer. */
  reveal(change, target) {
    this.#change(change, () => {
      if (target.offsetHeight < window.innerHeight / 2) this.toEnd();
      else target.scrollIntoView({ block: "start" });
    });
  }

  /** @param {boolean} growing whether more is to come; only then is there a way back to offer */
  set growing(growing) {
    this.#growing = growing;
    this.#updateButton();
  }

  #change(change, follow) {
    const atEnd = this.atEnd();
    change();
    if (this.#pinned !== null) this.#pinned.scrollIntoView({ block: "start" });
    else if (atEnd) follow();
    this.#updateButton();
  }

  #updateButton() {
    this.#button.hidden = !this.#growing || this.atEnd();
  }
}
