// The calls to the member that serves this page.
//
// Owns: the token, the header that every POST needs, and errors with the server's own words.
// Must never do: call another origin, or keep the token beyond this tab.

const TOKEN = "raftkv-token";
const TIMEOUT_MS = 15_000;

export class ApiError extends Error {
  /** `status` 0: the member did not answer at all. */
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export class Api {
  /** `askLogin(text)` is called when the member wants a name and a password. */
  constructor(askLogin) {
    this.askLogin = askLogin;
    this.token = sessionStorage.getItem(TOKEN);
  }

  get(path, params = {}) {
    const given = Object.entries(params).filter(([, value]) => value !== "" && value !== null);
    return this.#call(`${path}?${new URLSearchParams(given)}`, {});
  }

  post(path, body) {
    const headers = { "Content-Type": "application/json", "X-Raftkv-UI": "1" };
    return this.#call(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  async login(name, password) {
    const { token } = await this.post("/api/login", { name, password });
    this.token = token;
    sessionStorage.setItem(TOKEN, token);
  }

  /** The answer of the event stream, its body not read yet. Raises ApiError. */
  stream(signal) {
    return this.#answer("/api/stream", { headers: { Accept: "text/event-stream" }, signal });
  }

  async #call(path, options) {
    const answer = await this.#answer(path, {
      ...options,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    try {
      return await answer.json();
    } catch {
      throw new ApiError(0, "The answer was cut off. Try again.");
    }
  }

  async #answer(path, options) {
    const headers = { ...options.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let answer;
    try {
      answer = await fetch(path, { ...options, headers, cache: "no-store" });
    } catch (error) {
      if (options.signal?.aborted && error.name !== "TimeoutError") throw error;
      throw new ApiError(
        0,
        "This member does not answer. The page looks for another one; try again then.",
      );
    }
    if (answer.ok) return answer;
    const text = await errorText(answer);
    if (answer.status === 401 && path !== "/api/login") this.#refused();
    throw new ApiError(answer.status, text);
  }

  #refused() {
    const text = this.token ? "Your login has ended. Log in again." : "";
    this.token = null;
    sessionStorage.removeItem(TOKEN);
    this.askLogin(text);
  }
}

async function errorText(answer) {
  const fallback =
    `The member answered ${answer.status} ${answer.statusText}. ` +
    "Reload the page, or look at its log.";
  try {
    return (await answer.json()).error || fallback;
  } catch {
    return fallback;
  }
}
