// What Webex says in words of a device that is not well, and what its own status page reports.

import { element, setAttribute, setText } from "./dom.js";
import { momentText } from "./time.js";
import { errorCode, place } from "./words.js";

const STATUSES = { LostConnection: "connection lost", ResponseTimedOut: "does not answer", Unpairing: "being unpaired" };

/** A sentence as a part of a line. */
function part(sentence) {
  return sentence.replace(/\.$/, "");
}

/** The facts of a device as one line: what is lost, what Webex says since when, what Cisco recommends, how to find it. */
export function factsText(details, timeZone, now) {
  if (!details) return "";
  const { lost = [], messages = [], issues = [], serial, floor, switch: at, port } = details;
  const since = (record) => (record.since ? `, since ${momentText(Date.parse(record.since), timeZone, now)}` : "");
  return place(
    ...lost.map((one) => `lost: ${peripheralText(one)}`),
    ...messages.map(({ level, description }) => `device says: ${part([level, description].filter(Boolean).join(": "))}`),
    ...issues.filter(({ title }) => title).map((issue) => `Webex says: ${issue.title}${since(issue)}`),
    ...issues.filter((issue) => issue.recommendedAction).map((issue) => `Cisco recommends: ${part(issue.recommendedAction)}`),
    serial && `serial number ${serial}`,
    floor,
    (at || port) && [at && `switch ${at}`, port && `port ${port}`].filter(Boolean).join(", "),
  );
}

/** A peripheral with its serial number and what became of it. */
export function peripheralText({ type, name, serial, status }) {
  return [spaced(type), name, serial, STATUSES[status] ?? status].filter(Boolean).join(", ");
}

/** The facts of an open incident: its issues by their names, its device, the above, and of when they are (when it fired). */
export function incidentFacts({ issues, product, details, observedAt }, timeZone, now) {
  const facts = factsText(details, timeZone, now);
  const asOf = (issues.length || facts) && `as of ${momentText(Date.parse(observedAt), timeZone, now)}`;
  return place(...issues.map(errorCode), product, facts, asOf);
}

/** The line of the headline that says what Webex's own status page reports, or that it can't be read. Hidden while all is well. */
export function webexNote() {
  const node = element("p", { class: "webex", role: "status", hidden: "" });
  return {
    node,
    update(status, timeZone, now) {
      setText(node, status ? webexText(status, timeZone, now) : "");
      node.hidden = !status;
      setAttribute(node, "data-unknown", Boolean(status?.unknown && !status.incidents));
    },
  };
}

function webexText({ incidents = [], unknown }, timeZone, now) {
  const reported = incidents.map(({ name, status, since }) =>
    [name, status, since && `since ${momentText(Date.parse(since), timeZone, now)}`].filter(Boolean).join(", "),
  );
  return place(reported.length && `Webex reports: ${reported.join("; ")}`, unknown && `Webex's status page can't be read: ${unknown}`);
}

function spaced(type = "") {
  return type.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
}
