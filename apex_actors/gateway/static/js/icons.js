/** Line icons, 16 by 16, drawn in the colour of the text around them. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  waiting: ["M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9"],
  running: ["M8 2a6 6 0 1 1-6 6"],
  ok: ["M3 8.5 6.5 12 13 4.5"],
  degraded: ["M8 2.5 14 13H2Z", "M8 6.5v3", "M8 11.3v.1"],
  failed: ["M4 4l8 8", "M12 4l-8 8"],
  skipped: ["M4 8h8"],
  send: ["M8 13V3.5", "M3.5 7.5 8 3l4.5 4.5"],
  stop: ["M4.5 4.5h7v7h-7z"],
  again: ["M13 8a5 5 0 1 1-1.5-3.5", "M13 2v3h-3"],
  plus: ["M8 3v10", "M3 8h10"],
  list: ["M2.5 4h11", "M2.5 8h11", "M2.5 12h11"],
  edit: ["M3 13l.6-2.8L11 2.8l2.2 2.2-7.4 7.4Z"],
  bin: ["M3 4.5h10", "M6.5 4.5V3h3v1.5", "M4.5 4.5l.6 8.5h5.8l.6-8.5"],
  save: ["M8 2.5v7.5", "M4.5 7 8 10.5 11.5 7", "M3 13.5h10"],
  chevron: ["M6 4l4 4-4 4"],
};

/** Which icon stands for a status of the protocol; what is not listed is drawn as waiting. */
const BY_STATUS = {
  ok: "ok",
  completed: "ok",
  running: "running",
  degraded: "degraded",
  timeout: "degraded",
  timed_out: "degraded",
  cancelled: "skipped",
  aborted: "skipped",
  skipped: "skipped",
  error: "failed",
  failed: "failed",
};

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** A place for a status icon that redraws only when the status changes. */
export class StatusIcon {
  element = document.createElement("span");
  #shown = null;

  constructor() {
    this.element.className = "status-icon";
  }

  update(status) {
    const name = BY_STATUS[status] ?? "waiting";
    if (name === this.#shown) return;
    this.#shown = name;
    this.element.replaceChildren(icon(name));
  }
}
