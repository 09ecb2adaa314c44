//! kubectl's own flags for the connection, as they were given.

use anyhow::Result;
use std::path::PathBuf;

/// kubectl's connection flags
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Namespace of the target
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Path of the kubeconfig file
    #[arg(long, value_name = "PATH")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "USER")]
    pub(crate) as_user: Option<String>,
    /// Group to impersonate; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub(crate) as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, value_name = "UID")]
    pub(crate) as_uid: Option<String>,
    /// Address of the API server
    #[arg(short, long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Bearer token
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Certificates of the authority that signed the API server's
    #[arg(long, value_name = "PATH")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Certificate of the user
    #[arg(long, value_name = "PATH")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Key of the user's certificate
    #[arg(long, value_name = "PATH")]
    pub(crate) client_key: Option<PathBuf>,
    /// Name that the API server's certificate must have
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// Proxy on the way to the API server
    #[arg(long, value_name = "URL")]
    pub(crate) proxy_url: Option<String>,
    /// How long the API server may be silent before a request is begun anew; 0: for ever [default: 60s]
    #[arg(long, value_parser = parse_timeout, value_name = "DURATION")]
    pub(crate) request_timeout: Option<f64>,
}

impl Connection {
    /// These flags as far as they are given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> + use<> {
        [
            ("--namespace", self.namespace.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--context", self.context.is_some()),
            ("--cluster", self.cluster.is_some()),
            ("--user", self.user.is_some()),
            ("--as", self.as_user.is_some()),
            ("--as-group", !self.as_group.is_empty()),
            ("--as-uid", self.as_uid.is_some()),
            ("--server", self.server.is_some()),
            ("--token", self.token.is_some()),
            ("--insecure-skip-tls-verify", self.insecure_skip_tls_verify),
            (
                "--certificate-authority",
                self.certificate_authority.is_some(),
            ),
            ("--client-certificate", self.client_certificate.is_some()),
            ("--client-key", self.client_key.is_some()),
            ("--tls-server-name", self.tls_server_name.is_some()),
            ("--proxy-url", self.proxy_url.is_some()),
            ("--request-timeout", self.request_timeout.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
    }
}

fn parse_timeout(text: &str) -> Result<f64> {
    if ["0", "0s", "0m", "0h", "0ms"].contains(&text) {
        return Ok(0.0);
    }
    crate::duration::parse(text)
}
