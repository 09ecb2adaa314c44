
/* One table of the report. All of its rows are data; only those in view are elements, so that many thousands
   scroll smoothly. */

/* The height of a row, as in report.css, and the rows that are kept above and below the view. */
const ROW = 22;
const MARGIN = 15;
/* The widest that a column is made, in characters. */
const WIDEST = 64;
/* Trees with more rows begin closed, below their first level. */
const OPEN_ROWS = 200;
/* Rows that are printed, as many as the page has without scripts. */
const PRINTED = 100;
const SEVERITIES = ["critical", "high", "medium", "low", "info"];

class Table {
  constructor(data, place) {
    this.data = data;
    this.place = place;
    this.columns = data.columns.filter((column) => !column.isDetail);
    this.isTree = Boolean(data.depth);
    this.sorted = { column: null, isDown: false };
    this.closed = new Uint8Array(data.rows);
    this.words = [];
    this.current = -1;
    if (this.isTree) this.readTree();
    this.order = this.natural();
    this.build();
    this.refresh();
  }

  /* The value of a row, and its text. */
  value(column, row) {
    const value = column.values[row];
    return column.words ? column.words[value] : value;
  }

  text(column, row) {
    return shown(column.kind, this.value(column, row));
  }

  /* Where the row above each row is, and which rows have others below them. */
  readTree() {
    const depth = this.data.depth;
    const above = [];
    this.parent = new Int32Array(depth.length).fill(-1);
    this.isParent = new Uint8Array(depth.length);
    depth.forEach((level, row) => {
      above[level] = row;
      if (level > 0) {
        this.parent[row] = above[level - 1];
        this.isParent[above[level - 1]] = 1;
      }
    });
    if (depth.length > OPEN_ROWS) {
      const roots = depth.filter((level) => level === 0).length;
      this.closed = this.isParent.map((is, row) => (is && (depth[row] > 0 || roots > 1) ? 1 : 0));
    }
  }

  natural() {
    return Int32Array.from({ length: this.data.rows }, (_, row) => row);
  }

  /* Compares rows by the sorted column; what is not known comes last. */
  compare() {
    const { column, isDown } = this.sorted;
    const key = (row) => {
      const value = this.value(column, row);
      if (value === "" || value === null) return null;
      return column.kind === "severity" ? SEVERITIES.indexOf(value) : value;
    };
    const sign = isDown ? -1 : 1;
    return (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return x < y ? -sign : sign;
    };
  }

  /* Sorts all rows; in a tree those that are below one row. */
  sort() {
    if (!this.sorted.column) {
      this.order = this.natural();
    } else if (!this.isTree) {
      this.order = this.natural().sort(this.compare());
    } else {
      const below = new Map([[-1, []]]);
      this.parent.forEach((above, row) => {
        if (!below.has(above)) below.set(above, []);
        below.get(above).push(row);
      });
      const compare = this.compare();
      for (const rows of below.values()) rows.sort(compare);
      const order = [];
      const stack = below.get(-1).reverse();
      while (stack.length > 0) {
        const row = stack.pop();
        order.push(row);
        for (const child of (below.get(row) || []).reverse()) stack.push(child);
      }
      this.order = Int32Array.from(order);
    }
  }

  /* Marks the rows in which one of the columns has the word. */
  having(word) {
    const marks = new Uint8Array(this.data.rows);
    const has = (text) => text !== null && text.toLowerCase().includes(word);
    for (const column of this.data.columns) {
      if (!["text", "name", "severity"].includes(column.kind)) continue;
      if (column.words) {
        const fits = column.words.map(has);
        column.values.forEach((value, row) => { if (fits[value]) marks[row] = 1; });
      } else {
        column.values.forEach((value, row) => { if (has(value)) marks[row] = 1; });
      }
    }
    return marks;
  }

  /* The rows that pass the filter: in a tree also those above and below them. */
  filtered() {
    const all = this.words.map((word) => this.having(word));
    const fits = new Uint8Array(this.data.rows);
    this.found = 0;
    for (let row = 0; row < fits.length; row += 1) {
      fits[row] = all.every((marks) => marks[row]) ? 1 : 0;
      this.found += fits[row];
    }
    if (!this.isTree) return fits;
    const kept = fits.slice();
    for (let row = 0; row < fits.length; row += 1) {
      const above = this.parent[row];
      if (!fits[row]) {
        if (above >= 0 && fits[above]) fits[row] = kept[row] = 1;
        continue;
      }
      for (let up = above; up >= 0 && !kept[up]; up = this.parent[up]) kept[up] = 1;
    }
    return kept;
  }

  /* Finds out which rows there are to see, and shows them. */
  refresh() {
    let rows = this.order;
    if (this.words.length > 0) {
      const kept = this.filtered();
      rows = rows.filter((row) => kept[row]);
    } else if (this.isTree) {
      let hidden = -1;
      rows = rows.filter((row) => {
        const level = this.data.depth[row];
        if (hidden >= 0 && level > hidden) return false;
        hidden = this.closed[row] ? level : -1;
        return true;
      });
    }
    this.visible = rows;
    this.current = -1;
    const unit = this.data.rows === 1 ? this.data.unit.replace(/^(\w+)s\b/, "$1") : this.data.unit;
    const of = `${grouped(this.data.rows)} ${unit}`;
    this.status.textContent = this.words.length > 0 ? `${grouped(this.found)} of ${of}` : of;
    this.body.parentNode.setAttribute("aria-rowcount", String(rows.length + 1));
    this.first = -1;
    this.draw();
  }

  /* Makes the elements around the rows. */
  build() {
    this.filter = make("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${this.data.unit}` });
    this.filter.addEventListener("input", () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.setFilter(this.filter.value), 120);
    });
    this.status = make("output");
    const tools = make("div", { class: "tools" }, this.filter, this.status);
    if (this.isTree && this.isParent.some(Boolean)) {
      tools.append(this.button("Open all", () => this.setAll(0)), this.button("Close all", () => this.setAll(1)));
    }
    const widths = this.columns.map((column, at) => this.width(column, at));
    /* What is left of the line belongs to the last column, if that is text. */
    const takesRest = ["text", "name"].includes(this.columns.at(-1).kind);
    const columns = make("colgroup");
    widths.forEach((width, at) => {
      const column = make("col");
      if (!takesRest || at + 1 < widths.length) column.style.width = `${width}ch`;
      columns.append(column);
    });
    this.heads = this.columns.map((column) => {
      const button = this.button(column.title, () => this.sortBy(column));
      return make("th", { scope: "col", class: column.kind, "aria-sort": "none" }, button);
    });
    this.body = make("tbody");
    const role = this.isTree ? "treegrid" : "grid";
    const table = make("table", { class: this.isTree ? "tree" : "", role, "aria-label": this.data.unit },
      columns, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    const all = `${widths.reduce((sum, width) => sum + width, 0)}ch`;
    table.style.minWidth = all;
    table.style.width = takesRest ? "100%" : all;
    this.scroll = make("div", { class: "scroll", tabindex: "0" }, table);
    this.scroll.addEventListener("scroll", () => {
      if (!this.isWaiting) requestAnimationFrame(() => { this.isWaiting = false; this.draw(); });
      this.isWaiting = true;
    });
    this.scroll.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.scroll);
    this.detail = make("div", { class: "detail", hidden: "" });
    this.place.replaceChildren(tools, this.scroll, this.detail);
    this.place.classList.add("full");
  }

  button(text, action) {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", action);
    return button;
  }

  /* A width in characters that most texts of a column fit into. */
  width(column, at) {
    let width = column.title.length + 2;
    const step = Math.max(1, Math.floor(this.data.rows / 500));
    for (let row = 0; row < this.data.rows; row += step) {
      const indent = at === 0 && this.isTree ? 2 * Math.min(this.data.depth[row], 12) + 3 : 0;
      width = Math.max(width, this.text(column, row).length + indent);
    }
    return Math.min(width, WIDEST) + 3;
  }

  setFilter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.scroll.scrollTop = 0;
    this.refresh();
  }

  setAll(isClosed) {
    this.closed = this.isParent.map((is) => (is ? isClosed : 0));
    this.refresh();
  }

  /* Sorts by a column; again the other way; a third time not at all. */
  sortBy(column) {
    const downFirst = !["text", "name", "severity"].includes(column.kind);
    if (this.sorted.column !== column) this.sorted = { column, isDown: downFirst };
    else if (this.sorted.isDown === downFirst) this.sorted.isDown = !downFirst;
    else this.sorted = { column: null, isDown: false };
    this.heads.forEach((head, at) => {
      const is = this.columns[at] === this.sorted.column;
      head.setAttribute("aria-sort", is ? (this.sorted.isDown ? "descending" : "ascending") : "none");
    });
    this.sort();
    this.refresh();
  }

  /* Puts the rows in view into the table, between two that are as high as all others. */
  draw() {
    if (this.isPrinted) return;
    const inView = Math.ceil(this.scroll.clientHeight / ROW);
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - MARGIN);
    const last = Math.min(this.visible.length, first + inView + 2 * MARGIN);
    if (first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const rows = [this.space(first)];
    for (let at = first; at < last; at += 1) rows.push(this.row(at));
    rows.push(this.space(this.visible.length - last));
    this.body.replaceChildren(...rows);
  }

  space(rows) {
    const space = make("tr", { class: "space", "aria-hidden": "true" });
    space.style.height = `${rows * ROW}px`;
    return space;
  }

  row(at) {
    const row = this.visible[at];
    const made = make("tr", { "data-at": String(at), "aria-rowindex": String(at + 2) });
    if (at === this.current) made.setAttribute("class", "current");
    this.columns.forEach((column, place) => {
      const text = this.text(column, row);
      const cell = make("td", { class: column.kind });
      if (place === 0 && this.isTree) this.indent(made, cell, row);
      if (column.kind === "severity" && text !== "") cell.append(make("span", { class: `severity ${text}` }, text));
      else cell.append(text);
      made.append(cell);
    });
    return made;
  }

  /* Shows how deep a row of a tree is, and whether it is open. */
  indent(made, cell, row) {
    const level = this.data.depth[row];
    made.setAttribute("aria-level", String(level + 1));
    cell.style.paddingLeft = `${Math.min(level, 40) * 1.1 + 1.3}em`;
    if (!this.isParent[row]) return;
    const isOpen = this.words.length > 0 || !this.closed[row];
    made.setAttribute("aria-expanded", String(isOpen));
    made.classList.add("parent");
    cell.append(make("span", { class: "toggle", "aria-hidden": "true" }, isOpen ? "▾" : "▸"));
  }

  click(event) {
    const line = event.target.closest("tr[data-at]");
    if (!line) return;
    const at = Number(line.dataset.at);
    const isName = event.target.closest("td") === line.firstChild;
    if (isName && line.classList.contains("parent")) this.toggle(at);
    else {
      this.select(at);
      this.showDetail();
    }
  }

  /* Opens or closes a row of a tree, which stays where it is. */
  toggle(at) {
    const row = this.visible[at];
    if (!this.isTree || !this.isParent[row] || this.words.length > 0) return;
    this.closed[row] = this.closed[row] ? 0 : 1;
    this.refresh();
    this.select(at);
  }

  select(at) {
    this.current = Math.max(0, Math.min(at, this.visible.length - 1));
    const top = this.current * ROW;
    const room = this.scroll.clientHeight - 2 * ROW;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top > this.scroll.scrollTop + room) this.scroll.scrollTop = top - room;
    this.first = -1;
    this.draw();
  }

  key(event) {
    if (event.target !== this.scroll || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const row = this.visible[this.current];
    if (event.key in moves) this.select(this.current + moves[event.key]);
    else if (event.key === "Enter" && this.current >= 0) this.showDetail();
    else if (event.key === "Escape") this.detail.hidden = true;
    else if (event.key === "ArrowRight" && this.isTree && this.closed[row]) this.toggle(this.current);
    else if (event.key === "ArrowLeft" && this.isTree && !this.closed[row]) this.toggle(this.current);
    else return;
    event.preventDefault();
  }

  /* Shows all that is known of the current row, uncut. */
  showDetail() {
    const row = this.visible[this.current];
    const list = make("dl", { class: "facts name" });
    if (this.data.isPath) {
      let path = "";
      for (let up = row; up >= 0; up = this.parent[up]) {
        const name = this.text(this.data.columns[0], up);
        /* The row of a container is not a folder. */
        if (up === row || name.endsWith("/")) path = name + path;
      }
      list.append(make("div", {}, make("dt", {}, "Whole path"), make("dd", {}, path)));
    }
    for (const column of this.data.columns) {
      const text = this.text(column, row);
      if (text === "") continue;
      list.append(make("div", {}, make("dt", {}, column.title), make("dd", {}, text)));
    }
    const close = this.button("Close", () => { this.detail.hidden = true; this.scroll.focus(); });
    this.detail.replaceChildren(close, list);
    this.detail.hidden = false;
  }

  /* The first of the rows that are to see, for paper; then the window again. */
  print(isPrinting) {
    this.isPrinted = isPrinting;
    if (isPrinting) {
      const last = Math.min(this.visible.length, PRINTED);
      this.body.replaceChildren(...Array.from({ length: last }, (_, at) => this.row(at)));
      if (last < this.visible.length) this.status.textContent += `, the first ${last} are printed`;
    } else {
      this.status.textContent = this.status.textContent.split(", the first")[0];
      this.first = -1;
      this.draw();
    }
  }
}
