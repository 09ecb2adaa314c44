//! Reports in a real browser: nothing is fetched, nothing that a name says is done, 50,000 rows open and
//! scroll, filters and trees work, and the page is readable without scripts and on paper.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

mod hostile;
mod rows;

use procmon_tests::browser::Browser;
use procmon_tests::{golden, plugin};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The report of some arguments, in a file.
fn report(folder: &Path, name: &str, args: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let output = Command::new(plugin())
        .args(args)
        .args(["-o", "html", "--output-file"])
        .arg(&path)
        .current_dir(golden::version("v1.2"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // A check that finds something ends with 1.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
    path
}

/// A report of a document that this test makes.
fn report_of(folder: &Path, command: &str, document: &Value) -> PathBuf {
    let kind = document["kind"].as_str().unwrap();
    let path = folder.join(format!("{kind}.json"));
    std::fs::write(&path, serde_json::to_vec(document).unwrap()).unwrap();
    let name = format!("{command}-{kind}.html");
    report(folder, &name, &[command, path.to_str().unwrap()])
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Opens every fold and the details of every row in view, so that all code of the page has run.
const TOUCH: &str = "
    for (const one of document.querySelectorAll('details')) one.open = true;
    for (const row of document.querySelectorAll('tbody tr[data-at] td')) row.click();
    for (const head of document.querySelectorAll('th button')) { head.click(); head.click(); }
    for (const button of document.querySelectorAll('.tools button, .theme button')) button.click();
    true";

fn assert_quiet(browser: &Browser) {
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Rows of a table that are elements.
fn rows_of(browser: &mut Browser, table: &str) -> Vec<String> {
    let rows = format!(
        "[...document.querySelectorAll('[data-table={table}] tbody tr[data-at]')].map((row) => row.innerText)"
    );
    serde_json::from_value(browser.value(&rows)).unwrap()
}

#[test]
fn small_reports_are_whole_and_ask_for_nothing() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, document) in [("profile", "profile.json"), ("drift", "drift.json")] {
        let path = report(folder.path(), &format!("{name}.html"), &["show", document]);
        browser.open(&path);
        let text = browser.value("document.body.innerText");
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots"}, {
            insta::assert_snapshot!(format!("report_{name}"), text.as_str().unwrap());
        });
        browser.value(TOUCH);
        assert_quiet(&browser);
    }
}

#[test]
fn equal_documents_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let path = report(folder.path(), name, &["check", "profile.json"]);
        std::fs::read(path).unwrap()
    };
    assert!(bytes("one.html") == bytes("two.html"));
}

/// Presses a key and lets it go.
fn press(browser: &mut Browser, key: &str) {
    for kind in ["keyDown", "keyUp"] {
        let order = json!({"type": kind, "key": key});
        browser.order("Input.dispatchKeyEvent", &order);
    }
}

#[test]
fn trees_and_details_follow_the_keyboard() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = report(folder.path(), "keys.html", &["show", "profile.json"]);
    browser.open(&path);
    let before = rows_of(&mut browser, "files").len();
    browser.value("document.querySelector('[data-table=files] .scroll').focus()");
    press(&mut browser, "ArrowDown");
    press(&mut browser, "ArrowLeft");
    assert_eq!(rows_of(&mut browser, "files").len(), 1);
    press(&mut browser, "ArrowRight");
    for _ in 0..3 {
        press(&mut browser, "ArrowDown");
    }
    press(&mut browser, "Enter");
    assert_eq!(rows_of(&mut browser, "files").len(), before);
    let detail = browser.value("document.querySelector('[data-table=files] .detail').innerText");
    assert!(detail.as_str().unwrap().contains("/dev/"), "{detail}");
    assert_quiet(&browser);
}

#[test]
fn it_is_readable_without_scripts_and_on_paper() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = report_of(folder.path(), "check", &rows::large(3_000));
    browser.open(&path);
    let in_window = rows_of(&mut browser, "network").len();
    let seen = "addEventListener('beforeprint', () => {
        window.printed = document.querySelectorAll('[data-table=network] tbody tr').length;
        window.folded = document.querySelectorAll('details:not([open])').length;
    })";
    browser.value(seen);
    let paper = browser.order("Page.printToPDF", &json!({"printBackground": true}));
    assert!(paper["data"].as_str().unwrap().len() > 10_000);
    assert_eq!(browser.value("window.printed"), json!(100));
    assert_eq!(browser.value("window.folded"), json!(0));
    browser.wait(&format!(
        "document.querySelectorAll('[data-table=network] tbody tr[data-at]').length === {in_window}"
    ));
    assert_quiet(&browser);
    browser.order(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.order("Page.reload", &json!({}));
    browser.wait("document.readyState === 'complete' && document.querySelector('.full') === null");
    let text = browser.value("document.body.innerText");
    let text = text.as_str().unwrap();
    for wanted in [
        "100 of 1000 rows",
        "worker --number=3",
        "Findings",
        "10.0.0.7:443",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn a_page_fits_a_narrow_window_in_both_colours() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = report(folder.path(), "narrow.html", &["check", "profile.json"]);
    for (scheme, width) in [("light", 380), ("dark", 380), ("dark", 1400)] {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        browser.order(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
        browser.size(width, 800);
        browser.open(&path);
        // Only tables and drawings scroll sideways, inside themselves.
        let over = browser.value("document.documentElement.scrollWidth - innerWidth");
        assert!(over.as_i64().unwrap() <= 0, "{scheme} {width}: {over}");
        let colours = "getComputedStyle(document.body).backgroundColor";
        let is_dark = browser.value(colours) != json!("rgb(255, 255, 255)");
        assert_eq!(is_dark, scheme == "dark");
    }
    browser.value("document.querySelector('[data-theme=light]').click()");
    let colours = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.value(colours), json!("rgb(255, 255, 255)"));
    assert_quiet(&browser);
}
