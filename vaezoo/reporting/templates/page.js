"use strict";
// The page is complete without this file, which adds sorting, filters and interactive charts.
document.documentElement.classList.add("js");

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") !== "ascending" : !("down" in head.dataset);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table.tBodies[0], column, up ? 1 : -1);
    });
  });
}

// Sort numbers by their value and texts after them; empty cells stay at the end in either direction.
function sort(body, column, sign) {
  const keyed = [...body.rows].map((row) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = text === "" ? NaN : Number(text);
    return { row, text, number };
  });
  keyed.sort((a, b) => {
    if ((a.text === "") !== (b.text === "")) return a.text === "" ? 1 : -1;
    const texts = [Number.isNaN(a.number), Number.isNaN(b.number)];
    if (texts[0] !== texts[1]) return texts[0] ? 1 : -1;
    return sign * (texts[0] ? a.text.localeCompare(b.text, undefined, { numeric: true }) : a.number - b.number);
  });
  body.append(...keyed.map((entry) => entry.row));
}

function makeFilterable(controls) {
  const table = document.getElementById(controls.dataset.table);
  const words = controls.querySelector("input");
  const choices = [...controls.querySelectorAll("select")];
  const output = controls.querySelector("output");
  // Words are searched in names and settings only, because any digits can occur in a score.
  const names = (row) => [...row.cells].filter((cell) => cell.matches(".l, .wrap")).map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, text: names(row).join(" ").toLowerCase() }));
  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      const visible =
        wanted.every((word) => text.includes(word)) &&
        choices.every((choice) => choice.value === "*" || "=" + row.cells[choice.dataset.column].textContent.trim() === choice.value);
      row.hidden = !visible;
      count += visible;
    }
    output.textContent = `${count} of ${rows.length} shown`;
  };
  controls.addEventListener("input", apply);
  controls.addEventListener("reset", () => setTimeout(apply));
  apply();
}

function draw(place) {
  const { data, layout } = JSON.parse(place.closest("figure").querySelector("script").textContent);
  Plotly.newPlot(place, data, layout, {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
  place.on("plotly_click", ({ points }) => {
    location.hash = points[0].customdata;
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("form.controls").forEach(makeFilterable);
// Charts are drawn when they come near, so that a page with many opens at once.
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        near.unobserve(target);
        draw(target);
      }
    }
  },
  { rootMargin: "400px" },
);
document.querySelectorAll(".chart").forEach((place) => near.observe(place));
