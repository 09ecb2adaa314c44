//! System calls: threads, errnos, signals, gates, filters, ends.

mod filters;
mod gates;
pub(crate) mod outcomes;
mod signals;
pub(crate) mod threads;

use crate::Case;
use crate::calls::filters::{
    filter_found, filter_names, filter_strict, filters, filters_answered, filters_supervised,
};
use crate::calls::gates::{gate32, gate32_files};
use crate::calls::outcomes::{blocked, errnos, errnos_threads, numbers, timeouts, upper_halves};
use crate::calls::signals::{
    handler_calls, interrupted, killed_in_call, stopped, stopped_read, traced, traced_kept,
};
use crate::calls::threads::{exec_thread, many_threads, thread_ends, threads, threads_found};

pub(crate) const CASES: &[Case] = &[
    ("threads", threads),
    ("threads-found", threads_found),
    ("thread-ends", thread_ends),
    ("errnos", errnos),
    ("errnos-threads", errnos_threads),
    ("stopped", stopped),
    ("interrupted", interrupted),
    ("blocked", blocked),
    ("killed-in-call", killed_in_call),
    ("stopped-read", stopped_read),
    ("timeouts", timeouts),
    ("traced", traced),
    ("traced-kept", traced_kept),
    ("upper-halves", upper_halves),
    ("gate32", gate32),
    ("gate32-files", gate32_files),
    ("numbers", numbers),
    ("filters", filters),
    ("filters-answered", filters_answered),
    ("filters-supervised", filters_supervised),
    ("filter-found", filter_found),
    ("filter-strict", filter_strict),
    ("filter-names", filter_names),
    ("handler-calls", handler_calls),
    ("many-threads", many_threads),
    ("exec-thread", exec_thread),
];
