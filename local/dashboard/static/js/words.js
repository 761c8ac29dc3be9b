// What codes, signals and states are called on the page.

export const SEVERITY = { 1: "Critical", 2: "Major", 3: "Minor", 4: "Info" };
export const HEALTH = { up: "up", issues: "issues", down: "down", asleep: "asleep", unknown: "unknown" };
export const HEALTHS = Object.keys(HEALTH);

/** A severity from here on (1 is the worst) calls for somebody. */
export const NEEDS_ATTENTION = 2;

const UNITS = {
  temperature: { name: "Temperature", unit: "°C", digits: 1 },
  humidity: { name: "Humidity", unit: "%", digits: 0 },
  tvoc: { name: "TVOC index", unit: "", digits: 1 },
  ambientNoise: { name: "Ambient noise", unit: "dB(A)", digits: 0 },
  soundLevel: { name: "Sound level", unit: "dB(A)", digits: 0 },
  peopleCount: { name: "People in the room", unit: "", digits: 0 },
};

export function signalName(signal) {
  return UNITS[signal]?.name ?? signal;
}

export function signalValue(signal, value) {
  const { unit, digits } = UNITS[signal] ?? { unit: "", digits: 1 };
  return `${value.toFixed(digits)}${unit ? `\u00a0${unit}` : ""}`;
}

/** "site-outage" → "Site outage" */
export function ruleTitle(ruleId) {
  const words = ruleId.replaceAll("-", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const COUNTED = {
  issues: (count) => plural(count, "issue"),
  warningIssues: (count) => plural(count, "warning"),
  criticalIssues: (count) => plural(count, "critical issue"),
  peripheralIssues: (count) => `${plural(count, "peripheral")} lost`,
  displayIssues: (count) => `${plural(count, "display")} lost`,
  drops: (count) => `went down ${plural(count, "time")} in an hour`,
  firmwareBehind: (days) => `${plural(days, "day")} behind the newest firmware`,
  callLoss: (percent) => `${percent.toFixed(1)}\u00a0% of packets lost`,
  callJitter: (milliseconds) => `${Math.round(milliseconds)}\u00a0ms of jitter`,
  occupancy: (ratio) => `${Math.round(ratio * 100)}\u00a0% of its seats taken`,
  unseenMinutes: (minutes) => `no device listed for ${Math.round(minutes)}\u00a0min`,
};

/** What was measured, in words: "83 % of devices down", "29.4 °C". Empty when the title says it all. */
export function measured({ signal, value }) {
  if (value === null || signal === "offline") return "";
  if (signal === "offlineRatio") return `${Math.round(value * 100)}\u00a0% of devices down`;
  if (signal in COUNTED) return COUNTED[signal](value);
  return signal in UNITS ? signalValue(signal, value) : `${signal} ${value}`;
}

const ERROR_CODES = {
  accountmissing: "no account",
  amplifierdetection: "amplifier not found",
  amplifierfanstatus: "amplifier fan failing",
  camerapairing: "camera not paired",
  certificateexpiry: "certificate expires",
  controlsystemconnection: "control system lost",
  firsttimewizardnotcompleted: "setup not finished",
  macrosprovisioningstatus: "macros not provisioned",
  macrosruntimehashadcrash: "macros crashed",
  macrosruntimeresponsiveness: "macros not responding",
  mediablockingdetected: "media blocked",
  mediaprotocol: "media protocol not supported",
  microphoneoverloaded: "microphone overloaded",
  microphonesconnected: "no microphone",
  missingdisplay: "display missing",
  missingthirddisplay: "third display missing",
  networkquality: "poor network",
  currentnetworkquality: "poor network",
  ntpstatus: "clock not in sync",
  osdvideooutput: "no video output",
  provisioningmodeandstatus: "not provisioned",
  provisioningstatus: "not provisioned",
  roomschedulingconfiguration: "room scheduling not set up",
  sipprofileregistration: "SIP registration failed",
  soontobedeactivated: "soon to be deactivated",
  softwareoutofdate: "firmware out of date",
  softwareupgradekeepsfailing: "firmware upgrade keeps failing",
  stylusbattery: "stylus battery low",
  tcpmediafallback: "media falls back to TCP",
  temperaturecheck: "too hot",
  thousandeyesstatus: "ThousandEyes agent failing",
  touchpanelconnection: "touch panel lost",
  ultrasoundconfigsettings: "ultrasound settings",
  webexmustupgradecesoftware: "firmware too old for Webex",
  wxcsipconnection: "no SIP connection",
  wxcwebexconnection: "no Webex connection",
};

/** What a device issue code means; codes without words of ours are shown as Webex gives them. */
export function errorCode(code) {
  return ERROR_CODES[code] ?? code;
}

/** Parts of a place from the smallest to the largest, without repeats and gaps. */
export function place(...parts) {
  return [...new Set(parts.filter(Boolean))].join(" · ");
}
