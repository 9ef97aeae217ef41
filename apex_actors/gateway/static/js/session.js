/** Who is signed in on this page: the token, where it comes from and where it is remembered. */

const TOKEN_KEY = "apex.token";
const THREAD_KEY = "apex.thread";
const IDENTITY_KEY = "apex.identity";

/** Says 401 to a refused token and 404 to any other. */
const NO_REPORT = "/api/runs/00000000-0000-0000-0000-000000000000/report.json";

/** Raised when no token could be had; `message` is for the user. */
export class SignInError extends Error {}

export class Session {
  #storage;

  /** @param {{storage: Storage}} needs forgets with the tab (`sessionStorage`) */
  constructor({ storage }) {
    this.#storage = storage;
  }

  get token() {
    return this.#storage.getItem(TOKEN_KEY);
  }

  /** The conversation this tab shows, so that a reload comes back to it. */
  get threadId() {
    return this.#storage.getItem(THREAD_KEY);
  }

  set threadId(id) {
    if (id === null) this.#storage.removeItem(THREAD_KEY);
    else this.#storage.setItem(THREAD_KEY, id);
  }

  /**
   * Takes the token of a link `/#token=JWT`, and takes it out of the address bar and the history at
   * once, so that it is neither copied nor seen over a shoulder.
   *
   * @returns {boolean} whether there was one
   */
  takeFromAddress(location, history) {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return false;
    history.replaceState(null, "", location.pathname + location.search);
    this.#remember(token);
    return true;
  }

  /**
   * Development sign-in: any name.
   *
   * @throws {SignInError}
   */
  async signIn({ sub, org }) {
    let response;
    try {
      response = await fetch("/dev/token", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ sub, org }),
      });
    } catch {
      throw new SignInError("The server cannot be reached. Is it running?");
    }
    if (response.status === 404) {
      throw new SignInError("This server has no development sign-in. Open the link with a token that you were given.");
    }
    if (!response.ok) throw new SignInError("The server refused this name. Try another one.");
    this.#remember((await response.json()).token);
  }

  /** The token is no good any more; whoever it was may come back to their conversation. */
  expire() {
    this.#storage.removeItem(TOKEN_KEY);
  }

  signOut() {
    for (const key of [TOKEN_KEY, THREAD_KEY, IDENTITY_KEY]) this.#storage.removeItem(key);
  }

  /**
   * Whether the server refuses the token. A browser does not tell a page why a WebSocket was refused,
   * so plain HTTP is asked; a server that cannot be reached has refused nothing.
   */
  async isRefused() {
    const { token } = this;
    if (token === null) return true;
    try {
      const response = await fetch(NO_REPORT, { headers: { Authorization: `Bearer ${token}` } });
      return response.status === 401;
    } catch {
      return false;
    }
  }

  #remember(token) {
    const identity = identityOf(token);
    if (identity !== this.#storage.getItem(IDENTITY_KEY)) this.threadId = null;
    this.#storage.setItem(IDENTITY_KEY, identity);
    this.#storage.setItem(TOKEN_KEY, token);
  }
}

/** The pair (org, sub) inside a token, only to notice a change of user: nothing is trusted here. */
function identityOf(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { org, sub } = JSON.parse(atob(body));
    return JSON.stringify([org ?? sub, sub]);
  } catch {
    return "";
  }
}
