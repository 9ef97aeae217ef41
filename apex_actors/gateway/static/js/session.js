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

  /**
   * Where this tab is, so that a reload comes back to it: in a thread, in a new chat (`blank`), or
   * wherever the server says.
   */
  get place() {
    const threadId = this.#storage.getItem(THREAD_KEY);
    return { threadId: threadId || null, blank: threadId === "" };
  }

  set place({ threadId, blank }) {
    if (threadId === null && !blank) this.#storage.removeItem(THREAD_KEY);
    else this.#storage.setItem(THREAD_KEY, threadId ?? "");
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
    const response = await askForToken({ sub, org });
    if (response === null) throw new SignInError("The server cannot be reached. Is it running?");
    if (response.status === 404) {
      throw new SignInError("This server has no development sign-in. Open the link with a token that you were given.");
    }
    if (!response.ok) throw new SignInError("The server refused this name. Try another one.");
    this.#remember((await response.json()).token);
  }

  /**
   * A later token for the same user, where the server gives tokens for the asking. It is taken over by
   * `accept`, once the server has.
   *
   * @returns {Promise<string | null>} null when there is none to be had
   */
  async renew() {
    const who = userOf(this.token ?? "");
    if (who === null) return null;
    const response = await askForToken(who);
    return response?.ok ? (await response.json()).token : null;
  }

  /** Takes over a token that the server has accepted in place of the one before. */
  accept(token) {
    this.#remember(token);
  }

  /** The token is no good any more; whoever it was may come back to their conversation. */
  expire() {
    this.#storage.removeItem(TOKEN_KEY);
  }

  signOut() {
    for (const key of [TOKEN_KEY, THREAD_KEY, IDENTITY_KEY]) this.#storage.removeItem(key);
  }

  /**
   * Why a WebSocket was refused. A browser does not tell a page, so plain HTTP is asked.
   *
   * @returns {Promise<"refused" | "unreachable" | "restarting" | "busy" | "full">} `refused`: the token
   *   is no good; `full`: all is well, so the server took no further connection
   */
  async whyRefused() {
    const { token } = this;
    if (token === null) return "refused";
    try {
      const { status } = await fetch(NO_REPORT, { headers: { Authorization: `Bearer ${token}` } });
      if (status === 401) return "refused";
      if (status === 429) return "busy";
      if (status >= 500) return status === 503 ? "restarting" : "unreachable";
      const { draining, ready } = await (await fetch("/readyz")).json();
      if (draining) return "restarting";
      return ready ? "full" : "unreachable";
    } catch {
      return "unreachable";
    }
  }

  #remember(token) {
    const identity = identityOf(token);
    if (identity !== this.#storage.getItem(IDENTITY_KEY)) this.#storage.removeItem(THREAD_KEY);
    this.#storage.setItem(IDENTITY_KEY, identity);
    this.#storage.setItem(TOKEN_KEY, token);
  }
}

/** @returns {Promise<Response | null>} null when the server cannot be reached */
async function askForToken(who) {
  try {
    return await fetch("/dev/token", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(who),
    });
  } catch {
    return null;
  }
}

function identityOf(token) {
  const who = userOf(token);
  return who === null ? "" : JSON.stringify([who.org, who.sub]);
}

/**
 * The user inside a token: only to notice a change of user and to ask for another token, which the
 * server gives or not. Nothing is trusted here.
 */
function userOf(token) {
  try {
    const body = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const { org, sub } = JSON.parse(new TextDecoder().decode(Uint8Array.from(body, (char) => char.charCodeAt(0))));
    return { org: org ?? sub, sub };
  } catch {
    return null;
  }
}
