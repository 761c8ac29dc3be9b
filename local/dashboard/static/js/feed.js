// The stream of one page: merges what the server sends, notices when it falls silent, connects again.

const SILENCE_MILLISECONDS = 12_000; // two heartbeats missed
const RETRY_MILLISECONDS = 2_000;

export class Feed {
  /** The sections so far; empty before the first message. */
  data = {};
  connected = false;
  #address;
  #stream = null;
  #timer = null;
  #onChange;

  /** `onChange(names)` is called with the names of sections that are new, and with none when the connection came or went. */
  constructor(address, onChange) {
    this.#address = address;
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#close() : this.#open()));
    addEventListener("pagehide", () => this.#close()); // a browser keeps few connections to one server
    addEventListener("pageshow", () => this.#open());
    this.#open();
  }

  #open() {
    if (this.#stream || document.hidden) return;
    this.#stream = new EventSource(this.#address);
    this.#stream.addEventListener("sections", (event) => this.#take(event));
    this.#stream.addEventListener("heartbeat", (event) => this.#take(event));
    this.#stream.addEventListener("error", () => this.#lost());
    this.#expectWithin(SILENCE_MILLISECONDS);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  #take(event) {
    const sections = JSON.parse(event.data);
    Object.assign(this.data, sections);
    this.connected = true;
    this.#expectWithin(SILENCE_MILLISECONDS);
    this.#onChange(Object.keys(sections));
  }

  #lost() {
    this.#close();
    this.connected = false;
    this.#timer = setTimeout(() => this.#open(), RETRY_MILLISECONDS);
    this.#onChange([]);
  }

  #expectWithin(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), milliseconds);
  }
}
