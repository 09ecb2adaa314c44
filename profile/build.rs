//! Lists the built-in rules: one file each in `rules/`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=rules");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("rules");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder of rules can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    let mut text = "/// The built-in rules: id and text of each file.\npub const BUILT_IN: &[(&str, &str)] = &[\n".to_owned();
    for name in names {
        let path = folder.join(format!("{name}.yaml"));
        writeln!(
            text,
            "    ({name:?}, include_str!(r\"{}\")),",
            path.display()
        )
        .expect("a text takes every text");
    }
    text += "];\n";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("built_in_rules.rs"), text).expect("the list can be written");
}
