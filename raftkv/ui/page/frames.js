// The one animation loop of the page.
//
// Owns: when frames are drawn: only while a part moves, the tab is seen and motion is wanted.
// Must never do: draw something itself.

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

const FRAME_MS = 30; // half of what a screen can show is smooth enough, and costs half

export class Frames {
  #parts = [];
  #asked = 0;
  #drawn = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => this.wake());
    calm.addEventListener("change", () => this.wake());
  }

  /** `part(now)` draws one frame; true asks for another. `now` is in performance.now()'s ms. */
  add(part) {
    this.#parts.push(part);
  }

  wake() {
    if (this.#asked || document.hidden || calm.matches) return;
    this.#asked = requestAnimationFrame((now) => {
      this.#asked = 0;
      if (now - this.#drawn < FRAME_MS) return this.wake();
      this.#drawn = now;
      const moving = this.#parts.map((part) => part(now));
      return moving.includes(true) ? this.wake() : undefined;
    });
  }
}
