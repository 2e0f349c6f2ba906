"use strict";
// Tables: sort by a click on a heading (numbers as numbers), search by typing. Navigation: mark the section in view.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button, index) => {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const rising = head.getAttribute("aria-sort") === "descending" || (head.getAttribute("aria-sort") === "none" && !head.classList.contains("number"));
      for (const other of table.querySelectorAll("th")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const order = (row) => row.cells[index].dataset.order;
      const compare = head.classList.contains("number") ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
      [...body.rows]
        .sort((a, b) => {
          const [x, y] = [order(a), order(b)];
          if (x === "" || y === "") return (x === "") - (y === "");
          return rising ? compare(x, y) : compare(y, x);
        })
        .forEach((row) => body.append(row));
    });
  });
}
for (const input of document.querySelectorAll(".search input")) {
  const rows = [...input.closest(".table").querySelectorAll("tbody tr")];
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  });
}
const links = new Map([...document.querySelectorAll("nav li a")].map((link) => [link.hash.slice(1), link]));
for (const section of document.querySelectorAll("main section")) {
  new IntersectionObserver(([entry]) => links.get(section.id)?.classList.toggle("here", entry.isIntersecting), {
    rootMargin: "-20% 0px -70% 0px",
  }).observe(section);
}
