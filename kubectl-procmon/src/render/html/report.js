
/* The page: its tables, its colours, its links to findings, and paper. */

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tables = [];
  for (const place of document.querySelectorAll("[data-table]")) {
    const rows = data.find((table) => table.id === place.dataset.table);
    if (rows) tables.push(new Table(rows, place));
  }

  /* Nothing is remembered: a file from anywhere has no store. */
  const theme = document.querySelector(".theme");
  theme.hidden = false;
  theme.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    document.documentElement.dataset.theme = chosen.dataset.theme;
    for (const button of theme.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
  });

  /* A link to a finding opens it. */
  const open = () => {
    const target = document.getElementById(location.hash.slice(1));
    for (let one = target && target.closest("details"); one; one = one.parentElement.closest("details")) {
      one.open = true;
    }
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  /* Paper has no scroll bars and nothing to click. */
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
    for (const table of tables) table.print(true);
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    for (const table of tables) table.print(false);
  });
}

start();
