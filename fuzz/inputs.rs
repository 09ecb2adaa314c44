//! Inputs for a fuzz target without a fuzzer: its corpus, and the same files changed at random, which
//! is the same on every run.

use std::path::Path;

/// Changed inputs of each target, unless `FUZZ_RUNS` says how many.
const CHANGED: u32 = 20_000;
/// The longest input.
const MAX_BYTES: usize = 64 << 10;

/// Feeds a target with its corpus, then with changed files of it.
pub(crate) fn feed(target: &str, take: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).expect("the file can be read"))
        .collect();
    assert!(!corpus.is_empty(), "{target} has no corpus");
    for bytes in &corpus {
        take(bytes);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let runs = std::env::var("FUZZ_RUNS").ok();
    let runs = runs.and_then(|runs| runs.parse().ok()).unwrap_or(CHANGED);
    for _ in 0..runs {
        take(&random.changed(&corpus));
    }
}

/// Xorshift: no more is needed here.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\xff\x7f\x80 \n/:-[]{}()\"'\\0919af*%=";
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => u8::try_from(self.below(256)).unwrap_or(0),
        }
    }

    /// One to eight changes to one file of the corpus.
    fn changed(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(8) {
            let (from, length) = (self.below(bytes.len() + 1), self.below(32));
            let to = (from + length).min(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(from),
                1 => {
                    bytes.drain(from..to);
                }
                2 => {
                    let again = bytes[from..to].to_vec();
                    bytes.splice(from..from, again);
                }
                3 => {
                    let other = &corpus[self.below(corpus.len())];
                    let start = self.below(other.len() + 1);
                    bytes.splice(from.., other[start..].iter().copied());
                }
                4 => {
                    let byte = self.byte();
                    bytes.insert(from, byte);
                }
                _ => {
                    if from < bytes.len() {
                        bytes[from] = self.byte();
                    }
                }
            }
        }
        bytes.truncate(MAX_BYTES);
        bytes
    }
}
