"use strict";
const main = document.getElementById("docs");
function add(parent, tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}
function table(parent, rows) {
  const body = add(parent, "table");
  for (const cells of rows) {
    const row = add(body, "tr");
    cells.forEach((cell, i) => add(row, i === 0 ? "th" : "td", cell));
  }
}
function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const type = [].concat(schema.type ?? "").join(" | ");
  return schema.items ? typeOf(schema.items) + "[]" : type;
}
function operation(path, method, op) {
  const heading = add(main, "h2");
  add(heading, "span", method, "method");
  add(heading, "code", " " + path);
  for (const part of [op.summary, op.description]) if (part) add(main, "p", part);
  if (op.parameters?.length) {
    add(main, "h3", "Parameters");
    table(main, op.parameters.map(p => [p.name, p.in, typeOf(p.schema), p.description ?? ""]));
  }
  if (op.requestBody) {
    add(main, "h3", "Body");
    if (op.requestBody.description) add(main, "p", op.requestBody.description);
    table(main, Object.entries(op.requestBody.content).map(([type, c]) => [type, typeOf(c.schema)]));
  }
  add(main, "h3", "Answers");
  table(main, Object.entries(op.responses).map(([status, r]) => [
    status, r.description, Object.entries(r.content ?? {}).map(([type, c]) => type + " " + typeOf(c.schema)).join(", "),
  ]));
}
fetch("/openapi.json").then(r => r.json()).then(api => {
  add(main, "p", api.info.description ?? "");
  for (const [path, item] of Object.entries(api.paths))
    for (const [method, op] of Object.entries(item)) operation(path, method, op);
  add(main, "h2", "Schemas");
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    add(main, "h3", name);
    if (schema.description) add(main, "p", schema.description);
    table(main, Object.entries(schema.properties ?? {}).map(([field, s]) => [field, typeOf(s), s.description ?? ""]));
  }
}).catch(error => add(main, "p", "The document cannot be loaded: " + error, "bad"));
