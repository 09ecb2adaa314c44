//! The eBPF programs of the probe. On the host this binary is empty.
//!
//! All programs rely on the same files: records and keys are in `procmon_probe_ebpf::abi`, maps in `maps`,
//! typed reads of kernel structures in `kernel`, and one file per event family in `programs`.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(asm_experimental_arch),
    expect(
        unsafe_code,
        reason = "eBPF programs read the kernel's memory and write maps"
    )
)]

#[cfg(target_arch = "bpf")]
mod atomics;
#[cfg(target_arch = "bpf")]
mod kernel;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
mod scratch;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
