// What a search finds: cities, rooms and devices, each with its address.

import { element, keyed, setAttribute, setText } from "./dom.js";
import { Fetched } from "./fetched.js";
import { stateMark } from "./devices.js";
import { hero } from "./parts.js";
import { place, plural } from "./words.js";

export class SearchPage {
  name = "search";
  stream = "/events?view=frame";

  constructor(redraw) {
    this.text = new URLSearchParams(location.search).get("q") ?? "";
    document.title = `${this.text || "Search"} · RoomPulse`;
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    const rest = (name) => `${name}?q=${encodeURIComponent(this.text)}`;
    this.groups = {
      cities: group("Cities", ({ slug, name }) => [`/cities/${encodeURIComponent(slug)}`, name, ""]),
      rooms: group("Rooms", ({ id, name, location: site, city }) => [`/rooms/${encodeURIComponent(id)}`, name, place(site, city)]),
      devices: group(
        "Devices",
        ({ id, name, product, room, city }) => [`/devices/${encodeURIComponent(id)}`, name, place(product, room, city)],
        rest("/devices"),
      ),
    };
    this.nodes = [hero(this.sentence, this.summary), ...Object.values(this.groups).map(({ node }) => node)];
    this.fetched = new Fetched(() => rest("/api/search"), redraw);
  }

  get loaded() {
    return this.fetched.data !== null || this.fetched.fault !== "";
  }

  draw() {}

  tick() {
    const { data, fault } = this.fetched;
    const total = data ? Object.keys(this.groups).reduce((sum, name) => sum + data[name].total, 0) : 0;
    setText(this.sentence, !this.text.trim() ? "Search" : total ? `${total.toLocaleString("en")} found` : "Nothing found");
    setText(this.summary, fault ? `It can't be looked up: ${fault}. Trying again.` : explained(this.text, total));
    if (data) for (const [name, { update }] of Object.entries(this.groups)) update(data[name]);
  }
}

function explained(text, total) {
  if (!text.trim()) return "Type the name of a city, a room or a device, or a serial number, into the field above.";
  const where = "names of cities, rooms and devices, products, serial numbers and issues";
  return total ? `Every word of “${text}” is in one of these.` : `No ${where} hold every word of “${text}”.`;
}

function group(title, entry, all) {
  const list = element("ul", { class: "found" });
  const count = element("span", { class: "count" });
  const more = element("p", { class: "note" });
  const heading = element("h2", {}, `${title} `, count);
  const node = element("section", { class: "panel" }, heading, list, more);
  return {
    node,
    update({ total, found }) {
      node.hidden = total === 0;
      setText(count, total.toLocaleString("en"));
      keyed(
        list,
        found,
        ({ slug, id }) => slug ?? id,
        () => foundRow(entry),
      );
      more.hidden = total <= found.length;
      const link = all && element("a", { href: all }, "See all of them");
      more.replaceChildren(`The first ${found.length} of ${plural(total, "match", "matches")}. `, ...(link ? [link] : ["Add a word to see others."]));
    },
  };
}

function foundRow(entry) {
  const state = stateMark();
  const link = element("a", {});
  const where = element("span", { class: "aside" });
  return {
    node: element("li", {}, element("div", {}, link, where), state.node),
    update(item) {
      const [address, name, text] = entry(item);
      setAttribute(link, "href", address);
      setText(link, name);
      setText(where, text);
      state.node.hidden = item.health === undefined;
      if (item.health) state.update(item);
    },
  };
}
