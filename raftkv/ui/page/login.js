// The form for a name and a password, when the member asks for them.
//
// Owns: that dialog. Must never do: keep the password, or ask twice at once.

import { byId, setText } from "./element.js";

export class Login {
  /** `done()` is called when the member has let this page in. */
  constructor(done) {
    this.done = done;
    this.dialog = byId("login");
    this.form = byId("login-form");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("login-cancel").addEventListener("click", () => this.dialog.close());
    byId("login-open").addEventListener("click", () => this.ask(""));
  }

  ask(text) {
    byId("login-open").hidden = false;
    if (text || !this.dialog.open) setText(byId("login-error"), text);
    if (!this.dialog.open) this.dialog.showModal();
  }

  async #send() {
    const { name, password } = this.form.elements;
    try {
      await this.api.login(name.value, password.value);
    } catch (error) {
      // The member's words for 401 tell programs how to log in.
      const wrong = error.status === 401;
      setText(byId("login-error"), wrong ? "The name or the password is wrong." : error.message);
      password.select();
      return;
    }
    password.value = "";
    byId("login-open").hidden = true;
    this.dialog.close();
    this.done();
  }
}
