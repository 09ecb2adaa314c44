//! A client of the API server, by kubectl's own flags.

use super::connection::Connection;
use super::{credential, errors, kubeconfig};
use anyhow::Result;
use http::header::{HeaderValue, USER_AGENT};
use kube::Client;
use kube::client::ClientBuilder;
use std::time::Duration;
use tower::buffer::BufferLayer;

/// A client, and the namespace to work in.
pub(crate) async fn connect(connection: &Connection) -> Result<(Client, String)> {
    let mut config = kubeconfig::load(connection).await?;
    errors::name_server(config.cluster_url.to_string());
    // A probe writes a line each second, so that its log is never silent for longer; a watch is
    // begun again.
    let silence = match connection.request_timeout {
        Some(0.0) => None,
        given => Some(Duration::from_secs_f64(given.unwrap_or(60.0).max(3.0))),
    };
    config.connect_timeout = silence;
    config.read_timeout = silence;
    let namespace = connection
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(NAME)));
    let renewing = credential::ask(&mut config.auth_info).await?;
    let builder = ClientBuilder::try_from(config).map_err(errors::explain_setup)?;
    let client = match renewing {
        // The layer takes what several requests can share.
        Some(layer) => builder
            .with_layer(&BufferLayer::new(MAX_WAITING))
            .with_layer(&layer)
            .build(),
        None => builder.build(),
    };
    Ok((client, namespace))
}

/// Requests that wait for a token or a connection.
const MAX_WAITING: usize = 256;
/// The User-Agent of each request. The audit log of the API server records it.
const NAME: &str = concat!("kubectl-procmon/", env!("CARGO_PKG_VERSION"));
