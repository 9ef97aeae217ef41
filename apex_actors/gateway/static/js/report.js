/** The rendered report of a run: fetched as HTML, which the server has sanitised, and shown as it is. */

import { element } from "./dom.js";

/** A table cell with more text than this holds sentences, which may wrap; names and numbers may not. */
const PROSE_CHARACTERS = 32;

export class Reports {
  #token;
  #cache = new Map();

  /** @param {{token: () => string | null}} needs */
  constructor({ token }) {
    this.#token = token;
  }

  /**
   * @param {string} runId
   * @returns {Promise<Element | null>} null when there is none to be had; the next call asks again
   */
  load(runId) {
    if (!this.#cache.has(runId)) {
      const loading = this.#fetch(runId).catch(() => null);
      this.#cache.set(runId, loading);
      loading.then((article) => article ?? this.#cache.delete(runId));
    }
    return this.#cache.get(runId);
  }

  async #fetch(runId) {
    const response = await fetch(`/api/runs/${encodeURIComponent(runId)}/report.html`, {
      headers: { Authorization: `Bearer ${this.#token()}` },
    });
    return response.ok ? articleOf(await response.text()) : null;
  }
}

/**
 * The report document has styles of its own, in its head and, for the alignment of columns, in
 * attributes. This page's policy forbids inline styles, and a browser applies it while parsing, even
 * to a document that is never shown: so both are taken out of the text before it is parsed.
 */
function withoutStyles(html) {
  const start = html.indexOf("<article");
  const end = html.lastIndexOf("</article>");
  if (start < 0 || end < 0) return "";
  return html.slice(start, end).replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/\sstyle=/gi, " data-style="));
}

/** @returns {Element | null} the article of a report document, ready for this page */
function articleOf(html) {
  const article = new DOMParser().parseFromString(withoutStyles(html), "text/html").querySelector("article.report");
  if (article === null) return null;
  for (const node of article.querySelectorAll("[data-style]")) {
    const align = /text-align:\s*(right|center)/.exec(node.dataset.style)?.[1];
    if (align) node.classList.add(`align-${align}`);
    delete node.dataset.style;
  }
  for (const link of article.querySelectorAll("a[href]")) {
    if (link.getAttribute("href").startsWith("#")) continue;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const cell of article.querySelectorAll("td")) {
    if (cell.textContent.length > PROSE_CHARACTERS) cell.classList.add("prose");
  }
  for (const table of article.querySelectorAll("table")) {
    const caption = table.querySelector("th")?.textContent.trim();
    const box = element("div", { class: "table-box", role: "region", tabindex: "0", "aria-label": caption ? `Table: ${caption}` : "Table" });
    table.replaceWith(box);
    box.append(table);
  }
  return document.importNode(article, true);
}
