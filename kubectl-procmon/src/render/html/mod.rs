//! A report for a browser: one file that asks for nothing, readable without scripts and in print.
//!
//! `table` holds rows, `chart` holds drawings; one file for each section makes them; `page` puts them into
//! the template. Every text passes the template's escape, or [`embed`] where it is data for the script.

mod cells;
mod chart;
mod drift;
mod embed;
mod evidence;
mod facts;
mod files;
mod findings;
mod graph;
mod head;
mod network;
mod page;
mod processes;
mod programs;
mod report;
mod table;
mod timeline;
mod tree;

pub(super) use report::{drifts, findings, profile};
