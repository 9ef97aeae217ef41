/** The answer of a turn: its report, the charts in it, and what can be downloaded. */

import { inTheme } from "./artifacts.js";
import { element, setText } from "./dom.js";
import { icon } from "./icons.js";
import { chartWords, downloadWords } from "./words.js";

/** A line that was cut while something was on its way comes back: it is asked for again after these. */
const RETRY_PAUSES_MS = [500, 1000, 2000, 4000, 8000, 16000];

/** So far below the screen an answer's files are asked for, that they are there when it comes in sight. */
const NEAR = "600px";

/** The heading of a report under which a chart belongs; others stand at its end. */
const PLACES = {
  "cost-by-model": "By model",
  "cost-by-feature": "By feature",
  "cost-by-day": "Week by week",
  "savings-by-lever": "What to do",
};

export class AnswerView {
  element = element("div", { class: "answer", hidden: true });
  #downloads = element("div", { class: "downloads", role: "group", "aria-label": "Download this answer", hidden: true });
  #runId;
  #reports;
  #artifacts;
  #onChange;
  #text = null;

  /**
   * @param {object} needs
   * @param {string} needs.runId
   * @param {import("./report.js").Reports} needs.reports
   * @param {import("./artifacts.js").Artifacts} needs.artifacts
   * @param {(change: () => void, answer: Element) => void} needs.onChange makes a late change to the page
   */
  constructor({ runId, reports, artifacts, onChange }) {
    this.#runId = runId;
    this.#reports = reports;
    this.#artifacts = artifacts;
    this.#onChange = onChange;
  }

  update(answer) {
    if (answer === null) return;
    this.#artifacts.keep(this.#runId, answer.artifacts);
    if (answer.text === this.#text) return;
    this.#text = answer.text;
    this.element.hidden = false;
    this.element.setAttribute("aria-busy", "true");
    if (this.element.childElementCount === 0) {
      this.element.append(element("p", { class: "muted answer-loading" }, "Laying out the report…"));
    }
    this.#show(answer.text);
  }

  async #show(text) {
    for (const pause of [...RETRY_PAUSES_MS, null]) {
      const article = await this.#reports.load(this.#runId);
      if (text !== this.#text) return;
      const shown = this.element.querySelector(".plain-answer");
      if (article !== null || shown === null) {
        this.#onChange(() => {
          this.element.removeAttribute("aria-busy");
          this.element.replaceChildren(article ?? element("pre", { class: "plain-answer" }, text), this.#downloads);
        }, this.element);
      }
      if (article !== null) return this.#whenNear(() => this.#showFiles(article));
      if (pause === null) return;
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }

  #whenNear(act) {
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        act();
      },
      { rootMargin: NEAR },
    );
    observer.observe(this.element);
  }

  async #showFiles(article) {
    for (const pause of [...RETRY_PAUSES_MS, null]) {
      const files = await this.#artifacts.list(this.#runId).catch(() => null);
      if (!this.element.isConnected) return;
      if (files !== null) {
        for (const file of files.filter(({ kind }) => kind === "chart")) placeChart(article, file, this.#chart(file));
        const documents = files.filter(({ kind }) => kind !== "chart").toSorted(byUse);
        this.#downloads.replaceChildren(...documents.map((file) => this.#download(file)));
        this.#downloads.hidden = documents.length === 0;
        return;
      }
      if (pause === null) return;
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }

  /** A link like any other while it is good; later a click gets a fresh one first. */
  #download({ name, url }) {
    const label = element("span", {}, downloadWords(name));
    const shownHere = name.endsWith(".html");
    const link = element("a", { class: "action-button", href: url, download: shownHere ? null : name }, icon("save"), label);
    if (shownHere) Object.assign(link, { target: "_blank", rel: "noopener" });
    let renewed = false;
    link.addEventListener("click", (event) => {
      // A link that has just been renewed is as good as it gets, whatever this machine's clock says.
      if (renewed || this.#artifacts.isGood(link.href)) return;
      event.preventDefault();
      this.#renew(name).then(
        (fresh) => {
          link.href = fresh;
          setText(label, downloadWords(name));
          renewed = true;
          link.click();
          renewed = false;
        },
        () => setText(label, `${downloadWords(name)}: not now, please try again`),
      );
    });
    return link;
  }

  /** Drawn when it comes in sight; a link that ran out until then is renewed, once. */
  #chart({ name, url }) {
    const { title, alt } = chartWords(name.replace(/\.svg$/, ""));
    const dark = element("source", { media: "(prefers-color-scheme: dark)", srcset: inTheme(url, "dark") });
    const image = element("img", { loading: "lazy", decoding: "async", src: inTheme(url, "light"), alt });
    const figure = element("figure", { class: "chart", "data-chart": name }, element("picture", {}, dark, image), element("figcaption", { class: "visually-hidden" }, title));
    const renew = async () => {
      const fresh = await this.#renew(name).catch(() => null);
      if (fresh === null) return figure.classList.add("missing");
      image.addEventListener("error", () => figure.classList.add("missing"), { once: true });
      dark.srcset = inTheme(fresh, "dark");
      image.src = inTheme(fresh, "light");
    };
    image.addEventListener("error", renew, { once: true });
    image.addEventListener("load", () => figure.classList.remove("missing"));
    return figure;
  }

  async #renew(name) {
    const files = await this.#artifacts.list(this.#runId, { fresh: true });
    const file = files.find((other) => other.name === name);
    if (file === undefined) throw new Error(`${name} is no more`);
    return file.url;
  }
}

/** Files in the order in which they are wanted, whatever order they come in. */
const ORDER = ["report.html", "report.md", "report.csv", "report.json"];
const placeOf = ({ name }) => (ORDER.indexOf(name) + 1 || ORDER.length + 1);
const byUse = (one, other) => placeOf(one) - placeOf(other);

function placeChart(article, { name }, figure) {
  article.querySelector(`[data-chart="${CSS.escape(name)}"]`)?.remove();
  const wanted = PLACES[name.replace(/\.svg$/, "")];
  const heading = [...article.querySelectorAll("h2, h3")].find((node) => node.textContent.trim() === wanted);
  if (heading === undefined) article.append(figure);
  else heading.after(figure);
}
