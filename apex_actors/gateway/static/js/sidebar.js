/** The list of threads: beside the conversation, or where there is no room for that, behind a button. */

import { Confirmation } from "./confirm.js";
import { byId, element, KeyedList, setText } from "./dom.js";
import { icon, StatusIcon } from "./icons.js";
import { formatMoment, formatWhen } from "./words.js";

/** The same width as in page.css: from here on both fit beside each other. */
const WIDE = "(min-width: 64rem)";

/** The server takes no longer ones. */
const MAX_TITLE_CHARACTERS = 200;

export class Sidebar {
  #actions;
  #wide = window.matchMedia(WIDE);
  #list = byId("thread-list");
  #more = byId("more-threads");
  #drawer = byId("drawer");
  #items;
  #state = null;
  #ending;

  /**
   * @param {object} needs
   * @param {{beginChat(): void, openThread(id: string): void, renameThread(id: string, title: string): void,
   *   dropThread(id: string): void, wantThreads(): void}} needs.actions
   * @param {AbortSignal} needs.signal ends the listening
   */
  constructor({ actions, signal }) {
    const leaving = (act) => (...given) => {
      this.#drawer.close();
      act(...given);
    };
    this.#actions = { ...actions, beginChat: leaving(actions.beginChat), openThread: leaving(actions.openThread) };
    const confirmation = new Confirmation({ signal });
    this.#items = new KeyedList(this.#list, {
      keyOf: (item) => item.id,
      create: () => new ThreadItem({ actions: this.#actions, confirmation, focusNear: (item) => this.#focusNear(item) }),
    });
    for (const [id, name] of [["new-chat", "plus"], ["open-threads", "list"]]) {
      byId(id).querySelector("svg")?.remove();
      byId(id).prepend(icon(name));
    }
    byId("new-chat").addEventListener("click", this.#actions.beginChat, { signal });
    byId("open-threads").addEventListener("click", () => this.#drawer.showModal(), { signal });
    byId("close-threads").addEventListener("click", () => this.#drawer.close(), { signal });
    // A click beside the drawer hits the dialog itself, one in it hits what lies in it.
    this.#drawer.addEventListener("click", (event) => event.target === this.#drawer && this.#drawer.close(), { signal });
    this.#more.addEventListener("click", () => this.#actions.wantThreads(), { signal });
    this.#wide.addEventListener("change", () => this.#place(), { signal });
    this.#ending = new IntersectionObserver((entries) => this.#endSeen(entries));
    this.#ending.observe(this.#more);
    document.body.classList.add("with-threads");
    this.#place();
  }

  close() {
    this.#ending.disconnect();
    this.#drawer.close();
    this.#list.replaceChildren();
    document.body.classList.remove("with-threads");
  }

  /** @param {{list: object, threadId: string | null, online: boolean, now: number}} state */
  update({ list, threadId, online, now }) {
    const shown = this.#state;
    if (shown !== null && shown.list === list && shown.threadId === threadId && shown.online === online) return;
    this.#state = { list, threadId, online };
    // The list of keys is what matters to KeyedList; an item that looks the same is the same object.
    const before = new Map((shown?.view ?? []).map((view) => [view.id, view]));
    const view = list.items.map((item) => {
      const known = before.get(item.id);
      const current = item.id === threadId;
      const same = known?.item === item && known.current === current && known.online === online;
      return same ? known : { id: item.id, item, current, online, now };
    });
    this.#state.view = view;
    this.#items.update(view);
    byId("threads-empty").hidden = view.length > 0 || list.status !== "loaded";
    byId("threads-failed").hidden = list.status !== "failed";
    this.#more.hidden = list.status === "failed" ? false : list.next === null;
    setText(this.#more, list.status === "failed" ? "Try again" : "Show more");
    if (shown?.list.status !== "loaded" && list.status === "loaded") this.#lookAgain();
  }

  /** The observer tells of changes: an end that is still in sight after a page came in is none. */
  #lookAgain() {
    this.#ending.unobserve(this.#more);
    this.#ending.observe(this.#more);
  }

  #endSeen(entries) {
    const list = this.#state?.list;
    if (entries.some((entry) => entry.isIntersecting) && list?.status === "loaded" && list.next !== null) this.#actions.wantThreads();
  }

  #place() {
    const home = this.#wide.matches ? byId("side") : this.#drawer;
    if (this.#wide.matches) this.#drawer.close();
    home.append(byId("threads"));
  }

  /** Where the keyboard goes when the line it was in is about to disappear. */
  #focusNear(line) {
    const near = line.nextElementSibling ?? line.previousElementSibling;
    (near?.querySelector(".thread-open") ?? byId("new-chat")).focus();
  }
}

/** A line of the list; its title becomes a field while it is being renamed. */
class ThreadItem {
  element;
  #actions;
  #confirmation;
  #focusNear;
  #open = element("button", { type: "button", class: "thread-open" });
  #title = element("span", { class: "thread-title" });
  #status = new StatusIcon();
  #word = element("span", { class: "visually-hidden" });
  #when = element("time", { class: "thread-when" });
  #rename = element("button", { type: "button", class: "icon-button" }, icon("edit"));
  #drop = element("button", { type: "button", class: "icon-button" }, icon("bin"));
  #field = null;
  #item = null;

  constructor({ actions, confirmation, focusNear }) {
    this.#actions = actions;
    this.#confirmation = confirmation;
    this.#focusNear = focusNear;
    this.#open.append(this.#status.element, this.#title, this.#word, this.#when);
    this.element = element("li", { class: "thread" }, this.#open, element("span", { class: "thread-tools" }, this.#rename, this.#drop));
    this.#open.addEventListener("click", () => this.#actions.openThread(this.#item.id));
    this.#rename.addEventListener("click", () => this.#edit());
    this.#drop.addEventListener("click", () => this.#askToDrop());
  }

  update({ item, current, online, now }) {
    this.#item = item;
    const working = item.active.length > 0;
    const title = item.title ?? "Untitled";
    this.element.dataset.thread = item.id;
    this.element.classList.toggle("deleting", item.deleting === true);
    if (current) this.#open.setAttribute("aria-current", "true");
    else this.#open.removeAttribute("aria-current");
    setText(this.#title, title);
    this.#title.title = title;
    this.#status.element.hidden = !working;
    if (working) this.#status.update("running");
    setText(this.#word, working ? ", working" : "");
    setText(this.#when, item.updatedAt === 0 ? "" : formatWhen(item.updatedAt, now));
    if (item.updatedAt !== 0) {
      this.#when.dateTime = new Date(item.updatedAt).toISOString();
      this.#when.title = formatMoment(item.updatedAt);
    }
    for (const [button, what] of [[this.#rename, "Rename"], [this.#drop, "Delete"]]) {
      button.setAttribute("aria-label", `${what} “${title}”`);
      button.title = what;
      button.disabled = !online || item.deleting === true;
    }
  }

  #edit() {
    const field = element("input", { class: "thread-field", "aria-label": "New title", maxlength: MAX_TITLE_CHARACTERS });
    field.value = this.#item.title ?? "";
    this.#field = field;
    this.element.classList.add("editing");
    this.#open.before(field);
    field.select();
    field.focus();
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      // Escape would close the drawer as well.
      event.preventDefault();
      event.stopPropagation();
      this.#editEnded({ save: event.key === "Enter", focus: true });
    });
    field.addEventListener("blur", () => this.#editEnded({ save: true, focus: false }));
  }

  #editEnded({ save, focus }) {
    const field = this.#field;
    if (field === null) return;
    this.#field = null;
    const title = field.value.trim();
    this.element.classList.remove("editing");
    field.remove();
    if (focus) this.#rename.focus();
    if (save && title !== "" && title !== this.#item.title) this.#actions.renameThread(this.#item.id, title);
  }

  async #askToDrop() {
    const { id, title } = this.#item;
    const sure = await this.#confirmation.ask({
      title: `Delete the conversation “${title ?? "Untitled"}”`,
      text: "Its questions, answers and reports are removed for good. An analysis at work in it is stopped.",
      action: "Delete",
    });
    if (!sure) return;
    this.#focusNear(this.element);
    this.#actions.dropThread(id);
  }
}
