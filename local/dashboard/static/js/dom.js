// Building and updating the page without ever parsing text as HTML: names come from the outside.

/** An element with attributes and children; children that are null or false are left out, strings become text. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A shape from the page's set. It is never alone: a word always stands beside it, so readers skip it. */
export function icon(name) {
  const use = svg("use", { href: `#shape-${name}` });
  return svg("svg", { class: "icon", "aria-hidden": "true" }, use);
}

export function setIcon(node, name) {
  setAttribute(node.firstElementChild, "href", `#shape-${name}`);
}

/** Change a text only when it differs: what stays the same isn't announced, selected text stays selected. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const rowsOf = new WeakMap();

/**
 * Bring the children of `container` in line with `items`: those with a known key are updated in place, the others made or removed.
 * `make(item)` returns `{ node, update(item) }`. Gives what was made, by key.
 */
export function keyed(container, items, keyOf, make) {
  const before = rowsOf.get(container) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const row = before.get(key) ?? make(item);
    row.update(item);
    after.set(key, row);
  }
  for (const [key, row] of before) if (!after.has(key)) row.node.remove();
  let place = container.firstElementChild;
  for (const row of after.values()) {
    if (row.node === place) place = place.nextElementSibling;
    else container.insertBefore(row.node, place);
  }
  rowsOf.set(container, after);
  return after;
}
