/**
 * The files of an answer: reports to keep and charts to look at. Their links are signed and good for an
 * hour; where one has run out, fresh ones are asked for.
 */

/** A link so near to its end is not used any more: a download takes its time. */
const MARGIN_MS = 30_000;

export class Artifacts {
  #token;
  #serverNow;
  #lists = new Map();

  /**
   * @param {object} needs
   * @param {() => string | null} needs.token
   * @param {() => number} needs.serverNow milliseconds in the server's time, in which links run out
   */
  constructor({ token, serverNow }) {
    this.#token = token;
    this.#serverNow = serverNow;
  }

  /** Takes in the links that came with an answer. */
  keep(runId, artifacts) {
    if (artifacts.length > 0) this.#lists.set(runId, Promise.resolve(artifacts));
  }

  /**
   * The files of a run, with links that are good now.
   *
   * @param {string} runId
   * @param {{fresh?: boolean}} [how] `fresh`: a link that was good turned out not to be
   * @returns {Promise<{name: string, kind: string, url: string}[]>} rejects when they cannot be had
   */
  async list(runId, { fresh = false } = {}) {
    const known = fresh ? undefined : await this.#lists.get(runId);
    if (known !== undefined && known.every(({ url }) => this.isGood(url))) return known;
    const asked = this.#fetch(runId);
    this.#lists.set(runId, asked);
    asked.catch(() => this.#lists.get(runId) === asked && this.#lists.delete(runId));
    return asked;
  }

  /** Whether a link will be good for a while yet. */
  isGood(url) {
    return expiryOf(url) - MARGIN_MS > this.#serverNow();
  }

  async #fetch(runId) {
    const response = await fetch(`/api/runs/${encodeURIComponent(runId)}`, {
      headers: { Authorization: `Bearer ${this.#token()}` },
    });
    if (!response.ok) throw new Error(`the files of a run: ${response.status}`);
    return (await response.json()).artifacts;
  }
}

/** When a signed link runs out, in milliseconds; one that does not say never does. */
function expiryOf(url) {
  const expires = new URL(url, window.location.href).searchParams.get("expires");
  return expires === null ? Infinity : Number(expires) * 1000;
}

/** The picture for the ground it is shown on. The theme is no part of what was signed. */
export function inTheme(url, theme) {
  const themed = new URL(url, window.location.href);
  themed.searchParams.set("theme", theme);
  return themed.pathname + themed.search;
}
