//! The program: all of it is in the library.

fn main() {
    std::process::exit(procmon_probe::run());
}
