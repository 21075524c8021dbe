"use strict";
// The page is whole without this file; it adds sorting, filters and hovering.
document.documentElement.classList.add("js");

function sortable(table) {
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

// Numbers by their value, texts after them; what is empty stays at the end, whichever way.
function sort(body, column, sign) {
  const keyed = [...body.rows].map((row) => {
    const cell = row.cells[column];
    const written = cell.dataset.v ?? cell.textContent.trim();
    const number = written === "" ? NaN : Number(written);
    return { row, written, number };
  });
  keyed.sort((a, b) => {
    if ((a.written === "") !== (b.written === "")) return a.written === "" ? 1 : -1;
    const texts = [Number.isNaN(a.number), Number.isNaN(b.number)];
    if (texts[0] !== texts[1]) return texts[0] ? 1 : -1;
    return sign * (texts[0] ? a.written.localeCompare(b.written, undefined, { numeric: true }) : a.number - b.number);
  });
  body.append(...keyed.map((one) => one.row));
}

function filterable(controls) {
  const table = document.getElementById(controls.dataset.table);
  const words = controls.querySelector("input");
  const choices = [...controls.querySelectorAll("select")];
  const told = controls.querySelector("output");
  // Words are looked for in names and settings; a score has digits by chance.
  const told_of = (row) => [...row.cells].filter((cell) => cell.matches(".l, .wrap")).map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, text: told_of(row).join(" ").toLowerCase() }));
  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      const shown =
        wanted.every((word) => text.includes(word)) &&
        choices.every((choice) => choice.value === "*" || "=" + row.cells[choice.dataset.column].textContent.trim() === choice.value);
      row.hidden = !shown;
      count += shown;
    }
    told.textContent = `${count} of ${rows.length} shown`;
  };
  controls.addEventListener("input", apply);
  controls.addEventListener("reset", () => setTimeout(apply));
  apply();
}

function drawn(place) {
  const { data, layout } = JSON.parse(place.nextElementSibling.nextElementSibling.textContent);
  Plotly.newPlot(place, data, layout, {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
  place.on("plotly_click", ({ points }) => {
    location.hash = points[0].customdata;
  });
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("form.controls").forEach(filterable);
// Charts are drawn when they come near, so that a page with many opens at once.
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        near.unobserve(target);
        drawn(target);
      }
    }
  },
  { rootMargin: "400px" },
);
document.querySelectorAll(".chart").forEach((place) => near.observe(place));
