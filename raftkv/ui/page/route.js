// What the page shows is in its address: `#keys?key=...` can be linked to and survives a move to
// another member.
//
// Owns: the fragment. Must never do: trust it; what comes from it is looked up, not shown as said.

export const VIEWS = ["cluster", "keys", "diff"];
const CARRIED = ["left", "theme", "guide"];

/** {view, params}; a fragment that names no view gives null. */
export function parsed(fragment) {
  const [view, query = ""] = fragment.replace(/^#/, "").split("?", 2);
  if (view !== "" && !VIEWS.includes(view)) return null;
  return { view: view || "cluster", params: new URLSearchParams(query) };
}

export const current = () => parsed(location.hash) ?? parsed("");

export function fragment(view, params) {
  const given = Object.entries(params).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const query = new URLSearchParams(given).toString();
  return `#${view}${query ? `?${query}` : ""}`;
}

/** Goes there as a person would: it is one step of the history. */
export function go(view, params = {}) {
  location.hash = fragment(view, params);
}

/** Notes a detail of the view without a step of the history. */
export function note(view, params) {
  history.replaceState(null, "", fragment(view, params));
}

/** What the page of another member gave this one; taken once, and out of the address. */
export function takeCarried() {
  const { view, params } = current();
  const carried = Object.fromEntries(CARRIED.map((name) => [name, params.get(name)]));
  if (CARRIED.some((name) => params.has(name))) {
    for (const name of CARRIED) params.delete(name);
    note(view, Object.fromEntries(params));
  }
  return carried;
}

/** The fragment to arrive with at another member. */
export function carrying(carried) {
  const { view, params } = current();
  return fragment(view, { ...Object.fromEntries(params), ...carried });
}
