// The member's event stream, read for as long as somebody looks.
//
// Owns: the connection to /api/stream, its silence and its end. It is closed in a hidden tab and
// opened again when the tab is seen; nothing runs in between.
// Must never do: draw, or decide where to go when the member is gone (that is refuge.js).

const SILENCE_MS = 2_500; // a member says something twice a second
const OWN_TRIES = 2;
const AGAIN_MS = 400;
const EVENT_CHARACTERS_MAX = 4_000_000;

/** Cuts a text/event-stream into events of {name, data}; comments and other fields are let go. */
export class EventCutter {
  #rest = "";

  /** The events that `text` completes. Raises RangeError when one has no end. */
  take(text) {
    const blocks = (this.#rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = blocks.pop();
    if (this.#rest.length > EVENT_CHARACTERS_MAX) throw new RangeError("an event without an end");
    return blocks.map(eventOf).filter((event) => event.data !== "");
  }
}

function eventOf(block) {
  const event = { name: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (field === "event") event.name = value;
    if (field === "data") event.data += event.data ? `\n${value}` : value;
  }
  return event;
}

export class Stream {
  /**
   * `hear[name](data)` takes each event. `tell(state, text)` hears "connecting", "live", "hidden",
   * "login" (one is needed), "refused" (with the member's reason) and "lost".
   */
  constructor(api, hear, tell) {
    this.api = api;
    this.hear = hear;
    this.tell = tell;
    this.abort = null;
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  open() {
    this.close();
    if (document.hidden) return this.tell("hidden");
    this.abort = new AbortController();
    return this.#follow(this.abort);
  }

  close() {
    this.abort?.abort();
    this.abort = null;
  }

  #seen() {
    if (!document.hidden) this.open();
    else {
      this.close();
      this.tell("hidden");
    }
  }

  // A member that is only slow, or was restarted at once, gets its second chance before the page
  // looks elsewhere.
  async #follow(abort) {
    for (let failed = 0, tried = 0; failed < OWN_TRIES; failed += 1, tried += 1) {
      if (tried > 0) await new Promise((done) => setTimeout(done, AGAIN_MS));
      if (abort.signal.aborted) return undefined;
      this.tell("connecting");
      const outcome = await this.#read(abort);
      if (outcome === "login") return this.tell("login");
      if (outcome === "refused") return this.tell("refused", this.reason);
      if (outcome === "heard") failed = -1;
    }
    return abort.signal.aborted ? undefined : this.tell("lost");
  }

  /** One connection to its end: "heard" when it had brought something, else why it did not. */
  async #read(abort) {
    const connection = new AbortController();
    const end = () => connection.abort();
    abort.signal.addEventListener("abort", end);
    let silence = setTimeout(end, SILENCE_MS);
    let heard = false;
    try {
      const answer = await this.api.stream(connection.signal);
      const cutter = new EventCutter();
      for await (const text of piecesOf(answer.body)) {
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS);
        for (const event of cutter.take(text)) {
          if (!heard) this.tell("live");
          heard = true;
          this.#hear(event);
        }
      }
    } catch (error) {
      if (error.status === 401) return "login";
      if (error.status > 0) {
        this.reason = error.message;
        return "refused";
      }
      // Cut off, silent, or without an end: all the same, the connection is of no use any more.
    } finally {
      clearTimeout(silence);
      abort.signal.removeEventListener("abort", end);
      connection.abort();
    }
    return heard ? "heard" : "silent";
  }

  /** A mistake of the page in one event is reported, and does not end the connection. */
  #hear(event) {
    try {
      this.hear[event.name]?.(JSON.parse(event.data));
    } catch (error) {
      reportError(error);
    }
  }
}

async function* piecesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}
