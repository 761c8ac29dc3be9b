// Loaded into Azurite before its own code (node --require): a clock that tests can put forward, so that leases end without waiting.
// A line on standard input is a number of seconds, answered on standard output; Azurite ends with its standard input.
"use strict";

const real = Date.now;
let ahead = 0;
Date.now = () => real() + ahead;
globalThis.Date = new Proxy(Date, {
  construct: (target, values, asked) => Reflect.construct(target, values.length ? values : [target.now()], asked),
});

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (seconds) => {
    ahead += Number(seconds) * 1000;
    console.log("clock put forward");
  })
  .on("close", () => process.exit());
