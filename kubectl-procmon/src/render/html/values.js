"use strict";

/* Elements, and values as cells show them. Texts become text nodes and nothing else: a name can't be markup. */

/* Makes an element with these attributes and children. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/* A number with its digits in groups of three. */
function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/* A number and its unit: the first that leaves it below the step. */
function scaled(number, step, units) {
  let unit = 0;
  while (number >= step && unit + 1 < units.length) {
    number /= step;
    unit += 1;
  }
  if (unit === 0) return String(number) + units[0];
  return number.toFixed(step === 1024 && number >= 100 ? 0 : 1) + units[unit];
}

/* A value as a cell shows it: the same words as in cells.rs. */
function shown(kind, value) {
  if (value === null) return "";
  if (kind === "count") return grouped(value);
  if (kind === "bytes") return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
  if (kind === "duration") return scaled(value, 1000, [" ns", " µs", " ms", " s"]);
  if (kind === "offset") {
    const sign = value < 0 ? "-" : "+";
    return sign + (Math.floor((Math.abs(value) + 500) / 1000) / 1000).toFixed(3) + " s";
  }
  return value;
}
