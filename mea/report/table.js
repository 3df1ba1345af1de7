"use strict";
// A table of recordings: sorted by its column heads, filtered by the controls above, each row opened on demand.
const table = document.querySelector("table.recordings");
const rows = table ? [...table.tBodies[0].querySelectorAll("tr.row")] : [];

function sortRows(head) {
  const descending = head.getAttribute("aria-sort") === "ascending";
  const column = head.cellIndex;
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const numeric = head.dataset.kind === "number";
  const read = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => {
    // What is unknown stays below, whichever way the rest is sorted.
    if ((read(a) === "") !== (read(b) === "")) return read(a) === "" ? 1 : -1;
    const order = numeric ? read(a) - read(b) : read(a).localeCompare(read(b), undefined, { numeric: true });
    return descending ? -order : order;
  };
  [...rows].sort(compare).forEach((row) => {
    const detail = findDetail(row);
    table.tBodies[0].append(row);
    if (detail) row.after(detail);
  });
}

// What the search looks through: all that a row shows, and the lab's columns.
const texts = new Map(rows.map((row) => {
  const lab = Object.keys(row.dataset).filter((name) => /^lab\d/.test(name)).map((name) => row.dataset[name]);
  return [row, [...[...row.cells].map((cell) => cell.textContent), ...lab].join(" ").toLowerCase()];
}));

function findDetail(row) {
  return document.getElementById(row.querySelector(".open").getAttribute("aria-controls"));
}

function filterRows() {
  const words = document.getElementById("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = [...document.querySelectorAll("select[data-filter]")].filter((select) => select.value !== "");
  const ticked = [...document.querySelectorAll("input[data-filter]:checked")];
  let shown = 0;
  rows.forEach((row) => {
    const fits = words.every((word) => texts.get(row).includes(word))
      && chosen.every((select) => row.dataset[select.dataset.filter] === select.value)
      && ticked.every((box) => row.dataset[box.dataset.filter] === "1");
    row.hidden = !fits;
    const detail = findDetail(row);
    if (detail) detail.hidden = !fits || !row.classList.contains("is-open");
    shown += fits ? 1 : 0;
  });
  document.getElementById("shown").textContent = `${shown} of ${rows.length} recordings shown`;
}

function toggleRow(row) {
  const button = row.querySelector(".open");
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  row.classList.toggle("is-open", open);
  let detail = findDetail(row);
  if (!detail) {
    detail = document.createElement("tr");
    detail.id = button.getAttribute("aria-controls");
    detail.className = "detail";
    const cell = detail.insertCell();
    cell.colSpan = row.cells.length;
    row.after(detail);
    window.fillDetail(row, cell);
  }
  detail.hidden = !open;
}

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text; // never as HTML: names come from a lab's files
  if (className) element.className = className;
  return element;
}

function makeProperties(properties) {
  const list = make("dl");
  properties.forEach(([name, value]) => list.append(make("dt", name), make("dd", value)));
  return list;
}

if (table) {
  table.querySelectorAll("th[aria-sort] button").forEach((button) => {
    button.addEventListener("click", () => sortRows(button.parentElement));
  });
  rows.forEach((row) => row.addEventListener("click", () => {
    if (String(window.getSelection()) === "") toggleRow(row); // not where a name is being marked to be copied
  }));
  document.querySelector(".controls").addEventListener("input", filterRows);
  filterRows();
}
