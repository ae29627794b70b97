// Makes nodes of HTML and SVG.
//
// Owns: the one way in which text of the server gets into the page: as text. Nothing here, and so
// nothing anywhere, reads a string as markup, and no `style` attribute is written (the server's
// Content-Security-Policy refuses both).
// Must never do: know what is drawn.

const SVG = "http://www.w3.org/2000/svg";

/** A node of HTML; functions among the attributes are listeners, null and false leave one out. */
export function element(name, attributes, ...children) {
  return dressed(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function shape(name, attributes, ...children) {
  return dressed(document.createElementNS(SVG, name), attributes, children);
}

function dressed(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else setAttribute(node, name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Writes only what differs: an equal write would still cost a style pass, or be read out again. */
export function setText(node, text) {
  const words = String(text);
  if (node.textContent !== words) node.textContent = words;
}

/** true is the empty attribute; null, undefined and false take it away. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else {
    const words = value === true ? "" : String(value);
    if (node.getAttribute(name) !== words) node.setAttribute(name, words);
  }
}

export function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
}

/**
 * Makes the children of `parent` those of `items`, in order, keeping the nodes of keys that stay,
 * so that focus and open details live through an update. `make(item)` gives a new node,
 * `mend(node, item)` writes what changed.
 */
export function keyed(parent, items, keyOf, make, mend) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = null;
  for (const item of items) {
    const key = String(keyOf(item));
    let node = before.get(key);
    if (node) before.delete(key);
    else {
      node = make(item);
      node.dataset.key = key;
    }
    mend(node, item);
    const next = place ? place.nextElementSibling : parent.firstElementChild;
    if (next !== node) parent.insertBefore(node, next);
    place = node;
  }
  for (const node of before.values()) node.remove();
}

export const byId = (id) => document.getElementById(id);
