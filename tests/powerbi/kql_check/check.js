// Checks KQL with the parser that Kusto's own editors use; no cluster needed.
//
// Standard input:  a line per request, {"scripts": [{"name", "text"}], "queries": [{"name", "text"}]}
// Standard output: a line per answer,
//   {"faults": [{"where", "line", "column", "message"}], "columns": {query name: [{"name", "type"}]}, "functions": the same}
// One process answers many requests: what the package makes of KQL's grammar takes it seconds, once.
//
// The scripts' commands are applied in order: a later command or a query sees the tables, views and functions of the earlier ones. The package
// only knows a database that it is told about, so this script keeps the list of them itself.
'use strict';

const PACKAGE = '@kusto/language-service-next/';
require(PACKAGE + 'bridge.min.js'); // must come first: the language service is compiled from C# onto it
require(PACKAGE + 'Kusto.Language.Bridge.min.js');

const { GlobalState, KustoCode, Symbols, Editor } = Kusto.Language;
const list = (sequence) => Bridge.toArray(sequence);

const NAME = '(?<name>\\w+)';
const TABLE = new RegExp(`^\\.create-merge table ${NAME}\\s*\\((?<columns>[^()]*)\\)`);
const VIEW = new RegExp(`^\\.create-or-alter materialized-view[^{]*?${NAME} on table (?<source>\\w+)\\s*\\{(?<query>[^]*)\\}`);
const FUNCTION = new RegExp(`^\\.create-or-alter function[^{]*?${NAME}\\(\\)\\s*\\{(?<query>[^]*)\\}`);

let symbols = new Map();
let functions = {};
let faults = [];

function database() {
  return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor('live', [...symbols.values()])).WithCache();
}

function lineAndColumn(text, offset) {
  const lines = text.slice(0, offset).split('\n');
  return { line: lines.length, column: lines[lines.length - 1].length + 1 };
}

// Parses `code`, which stands at `offset` of `whole`, and notes its faults; returns the columns it yields, if it is a query.
function analyse(where, code, whole, offset, globals) {
  const parsed = KustoCode.ParseAndAnalyze(code, globals);
  for (const fault of list(parsed.GetDiagnostics())) {
    if (fault.Severity !== 'Suggestion') {
      faults.push({ where, ...lineAndColumn(whole, offset + Math.max(0, fault.Start)), message: fault.Message });
    }
  }
  const columns = parsed.ResultType && parsed.ResultType.Columns;
  return columns ? list(columns).map((column) => ({ name: column.Name, type: column.Type.Name })) : [];
}

const schemaOf = (columns) => `(${columns.map((column) => `['${column.name}']: ${column.type}`).join(', ')})`;

function applyCommand(where, command, whole, offset, globals) {
  const table = TABLE.exec(command);
  if (table) {
    symbols.set(table.groups.name, Symbols.TableSymbol.From(`(${table.groups.columns})`).WithName(table.groups.name));
  }
  const body = FUNCTION.exec(command);
  if (body) {
    const { name, query } = body.groups;
    functions[name] = analyse(where, query, whole, offset + command.indexOf(query), globals);
    symbols.set(name, new Symbols.FunctionSymbol.$ctor16(name, '()', `{${query}}`, null));
    if (/view\s*=\s*true/.test(command)) symbols.set(name, Symbols.TableSymbol.From(schemaOf(functions[name])).WithName(name));
  }
  const view = VIEW.exec(command);
  if (view) {
    const { name, source, query } = view.groups;
    if (!symbols.has(source)) {
      faults.push({ where, ...lineAndColumn(whole, offset), message: `view ${name} is on table ${source}, which is not declared` });
    }
    const columns = analyse(where, query, whole, offset + command.indexOf(query), globals);
    symbols.set(name, new Symbols.MaterializedViewSymbol.$ctor3(name, schemaOf(columns), query, null));
  }
}

function checkScript({ name, text }) {
  for (const block of list(Editor.CodeScript.From$1(text, GlobalState.Default).Blocks)) {
    const comments = /^(?:\s*(?:\/\/.*)?(?:\n|$))*/.exec(block.Text)[0].length;
    const command = block.Text.slice(comments);
    if (!command) continue;
    const offset = block.Start + comments;
    const globals = database();
    analyse(name, command, text, offset, globals);
    applyCommand(name, command, text, offset, globals);
  }
}

// What the scripts declare, and their faults. Most requests begin with the same scripts, and a command takes a tenth of a second: what
// one request adds is declared after what another has declared already.
const declared = new Map();
function declare(scripts) {
  const key = JSON.stringify(scripts);
  if (!declared.has(key)) {
    const before = scripts.length ? declare(scripts.slice(0, -1)) : { symbols: [], functions: {}, faults: [] };
    [symbols, functions, faults] = [new Map(before.symbols), { ...before.functions }, [...before.faults]];
    scripts.slice(-1).forEach(checkScript);
    declared.set(key, { globals: database(), symbols, functions, faults });
  }
  return declared.get(key);
}

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { scripts, queries } = JSON.parse(line);
  const known = declare(scripts);
  faults = [...known.faults];
  const columns = {};
  for (const { name, text } of queries) columns[name] = analyse(name, text, text, 0, known.globals);
  process.stdout.write(JSON.stringify({ faults, columns, functions: known.functions }) + '\n');
});
