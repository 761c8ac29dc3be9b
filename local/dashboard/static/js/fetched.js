// Data that a page asks for itself, again and again while somebody looks: of what is not on the stream.

const EVERY_MILLISECONDS = 10_000;

export class Fetched {
  /** What came last, null before; and why nothing newer comes, "" when it does. */
  data = null;
  fault = "";
  #address;
  #onChange;
  #asked = 0;

  /** `address()` is asked each time; `onChange()` is called when data or fault are new. */
  constructor(address, onChange) {
    this.#address = address;
    this.#onChange = onChange;
    setInterval(() => document.hidden || this.ask(), EVERY_MILLISECONDS);
    document.addEventListener("visibilitychange", () => document.hidden || this.ask());
    this.ask();
  }

  /** Ask now; an answer to what was asked before is ignored from then on. */
  async ask() {
    const turn = (this.#asked += 1);
    const [data, fault] = await answer(this.#address());
    if (turn !== this.#asked) return;
    this.data = data ?? this.data;
    this.fault = fault;
    this.#onChange();
  }
}

async function answer(address) {
  try {
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    const found = await response.json();
    return response.ok ? [found, ""] : [null, found.error];
  } catch {
    return [null, "RoomPulse does not answer"];
  }
}
