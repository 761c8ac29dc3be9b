// The alert inbox: what people were notified of, newest first, each alert in one row with its end. Filters live in the address.

import { element, icon, keyed, setAttribute, setText } from "./dom.js";
import { hero, notifiedList, select, severityMark } from "./parts.js";
import { durationText, momentText, spanText } from "./time.js";
import { SEVERITY, plural } from "./words.js";

/** How many names the text itself shows (processors/alert_fanout/render.py). */
const NAMES_IN_TEXT = 8;
const STATES = { open: "Open", resolved: "Resolved", merged: "Part of an outage" };

export class AlertsPage {
  name = "alerts";
  stream = "/events?view=alerts";

  constructor() {
    document.title = "Alerts · RoomPulse";
    this.sentence = element("h1", { class: "sentence" });
    this.summary = element("p", { class: "summary" });
    this.filters = {
      city: select("city", "City"),
      severity: select("severity", "Severity", SEVERITY),
      state: select("state", "State", STATES),
    };
    this.list = element("ol", { class: "inbox" });
    this.empty = element("p", { class: "empty" }, element("span", {}));
    this.shown = element("p", { class: "note", role: "status", "aria-live": "polite" });
    const form = element(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter alerts" },
      ...Object.values(this.filters),
      this.shown,
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.#filtered());
    this.nodes = [hero(this.sentence, this.summary), form, this.list, this.empty];
    this.context = { now: 0, city: null, notified: null };
    this.data = null;
  }

  draw(data, now) {
    if (!this.data) this.#readAddress(data);
    this.data = data;
    const cities = new Map(data.cities.map((city) => [city.slug, city]));
    const city = (slug) => cities.get(slug) ?? { name: slug, timeZone: "UTC" };
    Object.assign(this.context, { now, city, notified: (alertId) => data.notified[alertId] });
    this.#drawList();
  }

  tick(data, now) {
    const { incidents, openAlerts } = data.counts;
    const none = data.pipeline.newest ? "No open incidents" : "Waiting for the first poll";
    setText(this.sentence, incidents ? `${plural(incidents, "incident")} open` : none);
    setText(
      this.summary,
      data.inbox.length
        ? `${folded(openAlerts - incidents)}What people were notified of: the newest ${plural(data.inbox.length, "incident")}, in the local time of each city.`
        : "Nothing has been sent to anybody yet.",
    );
    for (const node of this.list.querySelectorAll("[data-open-since]")) {
      setText(node, `Open for ${durationText(now - Number(node.dataset.openSince))}`);
    }
  }

  #readAddress(data) {
    this.filters.city.lastElementChild.append(...data.cities.map(({ slug, name }) => element("option", { value: slug }, name)));
    const asked = new URLSearchParams(location.search);
    for (const [name, filter] of Object.entries(this.filters)) {
      const field = filter.lastElementChild;
      const value = asked.get(name) ?? "";
      field.value = [...field.options].some((option) => option.value === value) ? value : "";
    }
  }

  #filtered() {
    const chosen = Object.entries(this.#chosen()).filter(([, value]) => value);
    history.replaceState(null, "", chosen.length ? `?${new URLSearchParams(chosen)}` : location.pathname);
    this.#drawList();
    this.tick(this.data, this.context.now);
  }

  #chosen() {
    return Object.fromEntries(Object.entries(this.filters).map(([name, filter]) => [name, filter.lastElementChild.value]));
  }

  #drawList() {
    const { city, severity, state } = this.#chosen();
    const alerts = this.data.inbox.filter(
      (alert) =>
        (!city || alert.cityId === city) &&
        (!severity || String(alert.severity) === severity) &&
        (!state || state === stateOf(alert)),
    );
    keyed(
      this.list,
      alerts,
      ({ alertId }) => alertId,
      () => alertRow(this.context),
    );
    const filtered = city || severity || state;
    setText(this.shown, filtered ? `${alerts.length} of ${plural(this.data.inbox.length, "incident")} shown` : "");
    setText(this.empty.lastElementChild, filtered ? "No alert matches these filters" : "No alerts yet");
    this.empty.hidden = alerts.length > 0;
  }
}

function folded(count) {
  return count ? `${plural(count, "alert")} ${count === 1 ? "is" : "are"} folded into them. ` : "";
}

/** The address on the line of the runbook; the line is ours, names stand on others. */
function setRunbook(link, text) {
  const [, address] = /^Runbook: (https:\/\/\S+)$/m.exec(text) ?? [];
  link.hidden = !address;
  if (address) setAttribute(link, "href", address);
}

/** What became part of an outage is not over: the outage says when it is. */
function stateOf({ resolvedAt, mergedInto }) {
  if (!resolvedAt) return "open";
  return mergedInto ? "merged" : "resolved";
}

function alertRow(context) {
  const mark = severityMark();
  const title = element("h2", {});
  const city = element("a", {});
  const gist = element("span", {});
  const news = element("p", { class: "alert-news" });
  const rest = element("p", {});
  const runbook = element("a", { rel: "noreferrer" }, "Open the runbook");
  const names = element("p", { class: "alert-names" });
  const more = element("details", { class: "alert-more" }, element("summary", {}, "All that was sent"), rest, runbook, names);
  const notified = notifiedList();
  const shape = icon("fine");
  const ended = element("span", {});
  const state = element("p", { class: "alert-state" }, shape, ended);
  const times = element("p", { class: "alert-times" });
  const node = element(
    "li",
    { class: "alert" },
    mark.node,
    element("div", { class: "alert-what" }, title, element("p", { class: "alert-text" }, city, " · ", gist), news, notified.node, more),
    element("div", { class: "alert-when" }, state, times),
  );
  return {
    node,
    update(alert) {
      const where = context.city(alert.cityId);
      const began = Date.parse(alert.startedAt);
      mark.update(alert.severity);
      setText(title, alert.title);
      setText(city, where.name);
      setAttribute(city, "href", `/cities/${encodeURIComponent(alert.cityId)}`);
      const [first, ...others] = alert.text.split("\n");
      setText(gist, first);
      setText(rest, others.join("\n"));
      setRunbook(runbook, alert.text);
      setText(names, alert.folded.length > NAMES_IN_TEXT ? `All of them: ${alert.folded.join(", ")}` : "");
      more.hidden = others.length === 0;
      notified.update(context.notified(alert.alertId), where, context.now, !alert.resolvedAt, alert.alertId);
      setText(news, newsText(alert, where, context.now));
      news.hidden = !news.textContent;
      setAttribute(node, "data-state", stateOf(alert));
      shape.toggleAttribute("hidden", !alert.resolvedAt || alert.mergedInto);
      if (alert.resolvedAt) {
        setText(times, spanText(began, Date.parse(alert.resolvedAt), where.timeZone, context.now));
        delete ended.dataset.openSince;
        setText(ended, `${STATES[stateOf(alert)]} after ${durationText(Date.parse(alert.resolvedAt) - began)}`);
      } else {
        setText(times, `since ${momentText(began, where.timeZone, context.now)}`);
        ended.dataset.openSince = began;
        setText(ended, `Open for ${durationText(context.now - began)}`);
      }
    },
  };
}

/** What has happened to an incident since it was sent: "512 devices folded in · updated at 10:42 · held back on 2 channels". */
function newsText(alert, where, now) {
  const parts = [];
  if (alert.folded.length) parts.push(`${plural(alert.folded.length, "device")} folded in`);
  if (alert.updatedAt) parts.push(`updated ${momentText(Date.parse(alert.updatedAt), where.timeZone, now)}`);
  if (alert.heldBack) parts.push(`held back on ${plural(alert.heldBack, "channel")}, where too many came at once`);
  return parts.join(" · ");
}
