//! Many rows: they open, scroll, sort and can be filtered.

use super::{assert_quiet, read, report_of, rows_of};
use procmon_tests::browser::Browser;
use procmon_tests::golden;
use serde_json::{Value, json};
use std::time::Duration;

/// A profile of so many rows, as a busy node has them.
pub(super) fn large(rows: usize) -> Value {
    let mut profile = read(&golden::version("v1.2").join("profile.json"));
    let container = &mut profile["containers"][0];
    let grown = |list: &Value, change: &dyn Fn(usize, &mut Value)| {
        let model = list[0].clone();
        let row = |number| {
            let mut row = model.clone();
            change(number, &mut row);
            row
        };
        (0..rows / 3).map(row).collect::<Value>()
    };
    container["processes"] = grown(&container["processes"], &|number, row| {
        row["id"] = format!("p{number}").into();
        row["argv"] = json!(["worker", format!("--number={number}")]);
        if number > 0 {
            row["parent"] = format!("p{}", number / 7).into();
        }
    });
    container["files"] = grown(&container["files"], &|number, row| {
        row["path"] = format!("/srv/{}/{}/file-{number:05}", number % 50, number % 7).into();
        row["bytesRead"] = number.into();
    });
    container["network"] = grown(&container["network"], &|number, row| {
        let address = format!("10.{}.{}.7", number / 250, number % 250);
        row["remote"] = json!({"address": address, "port": 443});
        row["bytesSent"] = (number * 1000).into();
    });
    profile
}

/// Types into the filter of a table, as a person does.
fn filter(browser: &mut Browser, table: &str, text: &str, expected: &str) {
    browser.value(&format!(
        "document.querySelector('[data-table={table}] input').select()"
    ));
    browser.order("Input.insertText", &json!({"text": text}));
    browser.wait(&format!(
        "document.querySelector('[data-table={table}] output').textContent.startsWith('{expected} of ')"
    ));
}

/// Empties the filter of a table.
fn clear(browser: &mut Browser, table: &str) {
    browser.value(&format!(
        "document.querySelector('[data-table={table}] input').select()"
    ));
    for kind in ["keyDown", "keyUp"] {
        let order = json!({"type": kind, "key": "Delete", "windowsVirtualKeyCode": 46});
        browser.order("Input.dispatchKeyEvent", &order);
    }
    browser.wait(&format!(
        "!/ of [0-9,]+ /.test(document.querySelector('[data-table={table}] output').textContent)"
    ));
}

#[test]
#[expect(clippy::print_stderr, reason = "figures for the documentation")]
fn fifty_thousand_rows_open_scroll_sort_and_filter() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = report_of(folder.path(), "show", &large(50_000));
    let took = browser.open(&path);
    let elements = browser.value("document.getElementsByTagName('*').length");
    let size = path.metadata().unwrap().len();
    eprintln!("50,000 rows: {size} bytes, open in {took:?}, {elements} elements");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(elements.as_u64().unwrap() < 20_000, "{elements}");
    // The last row can be scrolled to; rows come and go.
    browser.value("document.querySelector('[data-table=network] .scroll').scrollTop = 1e9");
    browser.wait("document.querySelector('[data-table=network] tr[data-at=\"16665\"]') !== null");
    assert!(rows_of(&mut browser, "network").len() < 100);
    // Many steps at once, as a wheel makes them.
    let frames = "new Promise((done) => {
        const table = document.querySelector('[data-table=network] .scroll');
        const begun = performance.now();
        let frames = 0;
        table.scrollTop = 0;
        const step = () => {
            table.scrollTop += 1500;
            frames += 1;
            if (frames < 100) requestAnimationFrame(step);
            else done((performance.now() - begun) / frames);
        };
        requestAnimationFrame(step);
    })";
    let frame = browser.value(frames).as_f64().unwrap();
    eprintln!("a frame while scrolling takes {frame:.1} ms");
    assert!(frame < 200.0, "{frame}");
    filter(&mut browser, "network", "10.3.17.7 outbound", "1");
    assert_eq!(rows_of(&mut browser, "network").len(), 1);
    // A tree keeps what is above a row that fits.
    filter(&mut browser, "files", "file-00777", "1");
    let found = rows_of(&mut browser, "files");
    assert!(
        found.len() >= 3 && found.last().unwrap().contains("file-00777"),
        "{found:?}"
    );
    clear(&mut browser, "files");
    sort(&mut browser, "files", "Read");
    let first = rows_of(&mut browser, "files");
    assert!(first[0].starts_with("▾/srv/") && first[1].starts_with("▸15/"));
    sort(&mut browser, "network", "Sent");
    filter(&mut browser, "network", "10.", "16,666");
    assert!(rows_of(&mut browser, "network")[0].contains("10.66.165.7"));
    assert_quiet(&browser);
}

fn sort(browser: &mut Browser, table: &str, column: &str) {
    let clicked = browser.value(&format!(
        "[...document.querySelectorAll('[data-table={table}] th button')]
            .filter((button) => button.textContent === '{column}').map((button) => button.click()).length"
    ));
    assert_eq!(clicked, json!(1), "{table} {column}");
}
