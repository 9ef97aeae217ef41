/** The few DOM helpers the page needs. Text only ever enters the page as text nodes. */

/**
 * Makes an element.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] `undefined`, `null` and `false` leave an attribute out
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

/** Sets text only where it differs, so that selections and screen readers are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Looks an element of index.html up; a missing one is a mistake of ours, so it throws. */
export function byId(id) {
  const node = document.getElementById(id);
  if (node === null) throw new Error(`index.html has no element #${id}`);
  return node;
}

/**
 * Keeps the children of an element equal to a list of items, by key: an element lives as long as its
 * item, and is updated only when the item is another object (the store never changes one in place).
 */
export class KeyedList {
  #parent;
  #keyOf;
  #create;
  #parts = new Map();

  /**
   * @param {Element} parent holds the list's elements and nothing else
   * @param {object} how
   * @param {(item: any) => string} how.keyOf
   * @param {(item: any) => {element: Element, update(item: any): void}} how.create
   */
  constructor(parent, { keyOf, create }) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#create = create;
  }

  /** Calls back with every part on the page, in no particular order. */
  each(visit) {
    for (const { part } of this.#parts.values()) visit(part);
  }

  update(items) {
    const keys = new Set(items.map(this.#keyOf));
    for (const [key, entry] of this.#parts) {
      if (keys.has(key)) continue;
      entry.part.element.remove();
      this.#parts.delete(key);
    }
    items.forEach((item, index) => {
      const key = this.#keyOf(item);
      let entry = this.#parts.get(key);
      if (entry === undefined) {
        entry = { part: this.#create(item), item: undefined };
        this.#parts.set(key, entry);
      }
      const inPlace = this.#parent.children[index] ?? null;
      if (inPlace !== entry.part.element) this.#parent.insertBefore(entry.part.element, inPlace);
      if (entry.item !== item) {
        entry.item = item;
        entry.part.update(item);
      }
    });
  }
}
