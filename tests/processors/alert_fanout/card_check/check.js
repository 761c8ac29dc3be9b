// Judges Adaptive Cards with Microsoft's own packages: parses, validates and renders them as Teams on the web does, and expands them
// as its templates do.
//
// A line of standard input:    [card]
// gives one of standard output: [{"faults": [text], "lines": [text], "elements": [name], "expanded": whether a template changed it}]
// With the argument --html also "html", the card as a piece of a page.
//
// `lines` are the texts a reader sees, a paragraph each; `elements` are the HTML elements they are made of. Markdown is processed by
// markdown-it with its links for bare addresses, which is more than what the documentation of cards promises.
'use strict';

const readline = require('node:readline');
const { isDeepStrictEqual } = require('node:util');
const { parseHTML } = require('linkedom');

const { window, document } = parseHTML('<!doctype html><html><body></body></html>');
Object.defineProperty(window.HTMLElement.prototype, 'innerText', {
  set(text) { // as browsers do it
    const lines = text.split(/\r\n|\r|\n/).flatMap((line) => [document.createElement('br'), document.createTextNode(line)]);
    this.replaceChildren(...lines.slice(1));
  },
});
Object.assign(globalThis, { window, document, HTMLElement: window.HTMLElement, HTMLButtonElement: window.HTMLButtonElement });
const cards = require('adaptivecards/dist/adaptivecards.js'); // wants its page when it is loaded
const { Template } = require('adaptivecards-templating');
const markdown = require('markdown-it')({ linkify: true, typographer: false });

cards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown.render(text);
  result.didProcess = true;
};

function judged(json) {
  const context = new cards.SerializationContext(cards.Versions.latest);
  const card = new cards.AdaptiveCard();
  card.parse(json, context);
  const version = cards.Version.parse(json.version, context);
  const events = Array.from({ length: context.eventCount }, (_, index) => context.getEventAt(index));
  events.push(...card.validateProperties().validationEvents);
  const older = new cards.SerializationContext(version); // a property newer than the card's own version is a fault there
  new cards.AdaptiveCard().parse(json, older);
  events.push(...Array.from({ length: older.eventCount }, (_, index) => older.getEventAt(index)));
  const html = card.render();
  const texts = [...html.querySelectorAll('.ac-richTextBlock, .ac-textBlock')];
  const tags = texts.flatMap((text) => [...text.querySelectorAll('*')].map((element) => element.localName));
  return {
    faults: events.map((event) => event.message),
    lines: texts.map((text) => text.textContent),
    elements: [...new Set(tags)].sort(),
    expanded: !isDeepStrictEqual(new Template(json).expand({ $root: {} }), json),
    ...(process.argv.includes('--html') ? { html: html.outerHTML } : {}),
  };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  process.stdout.write(`${JSON.stringify(JSON.parse(line).map(judged))}\n`);
});
