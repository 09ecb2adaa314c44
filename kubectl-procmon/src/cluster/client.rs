//! The connection, by kubectl's own flags, and what refusals of the API server mean.

use super::credential;
use crate::hint::{Advised, advised};
use anyhow::{Context as _, Result};
use http::header::{HeaderValue, USER_AGENT};
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tower::buffer::BufferLayer;

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

/// A client, and the namespace to work in.
pub(crate) async fn connect(connection: &Connection) -> Result<(Client, String)> {
    let mut config = load(connection).await?;
    override_by_flags(&mut config, connection)?;
    config.cluster_url = server_url(&config.cluster_url.to_string())?;
    let _ = SERVER.set(config.cluster_url.to_string());
    // A probe writes a line each second, so that its log is never silent for longer; a watch is
    // simply begun anew.
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
    let builder = ClientBuilder::try_from(config).map_err(explain_setup)?;
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

/// Why no connection can be set up.
fn explain_setup(error: kube::Error) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    // The library tells the kind of its error by a text only.
    let is_old = error
        .chain()
        .any(|cause| cause.to_string().contains("UnsupportedCertVersion"));
    if is_old {
        return error.context(Advised {
            message: "the client certificate of the kubeconfig is of X.509 version 1, which this program's TLS library does not take"
                .to_owned(),
            hint: "make one of version 3, for instance by `openssl x509 -req … -extfile EXTENSIONS` with the line \
                   `extendedKeyUsage=clientAuth` in EXTENSIONS, or use a token: `--token \"$(kubectl create token NAME)\"`"
                .to_owned(),
        });
    }
    error.context("cannot set up the connection to the API server")
}

/// The API server that is talked to, for errors.
static SERVER: OnceLock<String> = OnceLock::new();

/// From the kubeconfig, or from the pod that this runs in.
async fn load(connection: &Connection) -> Result<Config> {
    let file = kubeconfig(connection.kubeconfig.as_deref())?;
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    };
    let unusable = "check `kubectl config view`, or name one with --kubeconfig; without a cluster, use --local";
    let is_empty = file.contexts.is_empty() && file.clusters.is_empty();
    check_names(&file, &options)?;
    if is_empty && let Some(server) = &connection.server {
        return Ok(Config::new(server_url(server)?));
    }
    if is_empty && connection.kubeconfig.is_none() {
        return Config::incluster().map_err(|_| {
            advised(
                "there is no kubeconfig, and this is no pod of a cluster",
                unusable,
            )
        });
    }
    Config::from_custom_kubeconfig(file, &options)
        .await
        .context("cannot find out how to reach the cluster")
        .map_err(|error| {
            error.context(Advised {
                message: "no usable kubeconfig".to_owned(),
                hint: unusable.to_owned(),
            })
        })
}

/// All files that kubectl would read, as one. Of several in `KUBECONFIG` those that are not there
/// are left out.
fn kubeconfig(named: Option<&Path>) -> Result<Kubeconfig> {
    let paths = named.map_or_else(usual_paths, |path| vec![path.to_owned()]);
    paths.iter().try_fold(Kubeconfig::default(), |all, path| {
        let failed = || format!("cannot read the kubeconfig `{}`", path.display());
        let file = Kubeconfig::read_from(path)
            .map_err(without_content)
            .with_context(failed)?;
        all.merge(file).with_context(failed)
    })
}

/// The files in `KUBECONFIG` that are there, or the one in the home folder.
fn usual_paths() -> Vec<PathBuf> {
    let list = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut paths: Vec<PathBuf> = std::env::split_paths(&list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if paths.is_empty() {
        paths.extend(std::env::home_dir().map(|home| home.join(".kube/config")));
    }
    paths.retain(|path| path.exists());
    paths
}

/// What is wrong with a kubeconfig, without its text: that may hold credentials.
fn without_content(error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => anyhow::anyhow!(
                "it is no kubeconfig: line {}, column {}",
                place.line(),
                place.column()
            ),
            None => anyhow::anyhow!("it is no kubeconfig"),
        },
        KubeconfigError::ReadConfig(error, _) => error.into(),
        other => other.into(),
    }
}

/// Names that flags give must be in the kubeconfig.
fn check_names(file: &Kubeconfig, options: &KubeConfigOptions) -> Result<()> {
    let contexts: Vec<&str> = file
        .contexts
        .iter()
        .map(|item| item.name.as_str())
        .collect();
    let clusters: Vec<&str> = file
        .clusters
        .iter()
        .map(|item| item.name.as_str())
        .collect();
    let users: Vec<&str> = file
        .auth_infos
        .iter()
        .map(|item| item.name.as_str())
        .collect();
    for (kind, named, known) in [
        ("context", &options.context, contexts),
        ("cluster", &options.cluster, clusters),
        ("user", &options.user, users),
    ] {
        let Some(name) = named else { continue };
        if known.contains(&name.as_str()) {
            continue;
        }
        return Err(advised(
            format!("the kubeconfig has no {kind} `{name}`"),
            if known.is_empty() {
                format!("it has no {kind}s at all: name another one with `--kubeconfig`")
            } else {
                format!("it has: {}", known.join(", "))
            },
        ));
    }
    Ok(())
}

fn override_by_flags(config: &mut Config, connection: &Connection) -> Result<()> {
    if let Some(server) = &connection.server {
        config.cluster_url = server_url(server)?;
    }
    if let Some(path) = &connection.certificate_authority {
        std::fs::metadata(path)
            .with_context(|| format!("cannot read the certificates in `{}`", path.display()))?;
        config.root_cert = None;
        config.root_cert_file = Some(path.clone());
    }
    if let Some(name) = &connection.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    if let Some(proxy) = &connection.proxy_url {
        let uri = proxy
            .parse()
            .with_context(|| format!("`{proxy}` is no URL of a proxy"))?;
        config.proxy_url = Some(uri);
    }
    config.accept_invalid_certs |= connection.insecure_skip_tls_verify;
    identify(&mut config.auth_info, connection);
    Ok(())
}

/// Who the user is.
fn identify(user: &mut AuthInfo, connection: &Connection) {
    let text = |path: &PathBuf| path.display().to_string();
    if let Some(path) = &connection.client_certificate {
        user.client_certificate = Some(text(path));
        user.client_certificate_data = None;
    }
    if let Some(path) = &connection.client_key {
        user.client_key = Some(text(path));
        user.client_key_data = None;
    }
    if let Some(token) = &connection.token {
        user.token = Some(token.clone().into());
        // Other ways to a token would win.
        user.token_file = None;
        user.exec = None;
        user.auth_provider = None;
    }
    if let Some(name) = &connection.as_user {
        user.impersonate = Some(name.clone());
    }
    if !connection.as_group.is_empty() {
        user.impersonate_groups = Some(connection.as_group.clone());
    }
    if let Some(uid) = &connection.as_uid {
        user.impersonate_uid = Some(uid.clone());
    }
}

/// An address as kubectl takes it: `https://host:port/path`, or `host:port`.
fn server_url(text: &str) -> Result<http::Uri> {
    let no_address = || {
        advised(
            format!("`{text}` is no address of an API server"),
            "write it as https://HOST:PORT",
        )
    };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{}", text.trim_end_matches('/'))
    };
    let uri: http::Uri = full.parse().map_err(|_| no_address())?;
    let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
    if is_web && uri.host().is_some_and(|host| !host.is_empty()) {
        Ok(uri)
    } else {
        Err(no_address())
    }
}

/// The API server refuses it, and will go on refusing it.
pub(crate) fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

/// What a refusal means and what to do about it.
pub(crate) fn explain(error: kube::Error) -> anyhow::Error {
    match &error {
        kube::Error::Api(status) => match hint(&status.message, status.code) {
            Some(hint) => Advised {
                message: status.message.clone(),
                hint,
            }
            .into(),
            None => anyhow::anyhow!(status.message.clone()),
        },
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            let server = SERVER.get().map_or("", String::as_str);
            anyhow::anyhow!(root(&error)).context(Advised {
                message: format!("cannot reach the API server at `{server}`"),
                hint: "check that it can be reached: `kubectl version`".to_owned(),
            })
        }
        _ => error.into(),
    }
}

/// The same for who can keep no chain of errors.
pub(crate) fn advice(error: kube::Error) -> Advised {
    let error = explain(error);
    Advised {
        message: format!("{error:#}"),
        hint: crate::hint::of(&error)
            .unwrap_or_else(|| "see the list of rights in README.md".to_owned()),
    }
}

/// The innermost cause: what lies around it only says that there was one.
fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn hint(message: &str, code: u16) -> Option<String> {
    if message.contains("violates PodSecurity") {
        return Some("the namespace forbids pods that see their node: name one that allows them with `--probe-namespace kube-system`".to_owned());
    }
    if message.contains("exceeded quota") || message.contains("failed quota") {
        return Some("give the probe other sizes with `--requests` and `--limits`, or another namespace with `--probe-namespace`".to_owned());
    }
    if message.contains("minimum cpu")
        || message.contains("minimum memory")
        || message.contains("maximum") && message.contains("per Container")
    {
        return Some("the LimitRange names the sizes that it takes: `--requests cpu=100m,memory=64Mi --limits …`".to_owned());
    }
    if message.contains("security context constraint") {
        return Some("on OpenShift the user needs the `privileged` SCC, or one that allows hostPID and the capabilities of `--dry-run=client`: `oc adm policy add-scc-to-user privileged USER`".to_owned());
    }
    if code == 403 {
        return forbidden(message);
    }
    None
}

/// `… cannot VERB resource "RESOURCE" in API group "GROUP" in the namespace "NAMESPACE"`: the rule that grants it.
fn forbidden(message: &str) -> Option<String> {
    let verb = message.split(" cannot ").nth(1)?.split(' ').next()?;
    let quoted = |after: &str| message.split(after).nth(1)?.split('"').nth(1);
    let resource = quoted("resource ")?;
    let group = quoted("API group ").unwrap_or("");
    Some(format!(
        "this user may not `{verb}` `{resource}`; a rule that grants it: {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_kubectl_takes_them() {
        for (text, expected) in [
            ("127.0.0.1:6443", Some("https://127.0.0.1:6443/")),
            ("foo", Some("https://foo/")),
            ("[::1]:6443", Some("https://[::1]:6443/")),
            ("http://localhost:8001", Some("http://localhost:8001/")),
            ("https://host/path/", Some("https://host/path/")),
            ("", None),
            ("ftp://host", None),
            ("https://", None),
            ("a b", None),
            ("/path", None),
        ] {
            let url = server_url(text).ok().map(|url| url.to_string());
            assert_eq!(url.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_broken_kubeconfig_is_not_quoted() {
        let error = Kubeconfig::from_yaml("users:\n- name: [hunter2\n  token: hunter2: x\n")
            .map(|_| ())
            .map_err(without_content)
            .expect_err("it does not parse");
        let text = format!("{error:#}");
        assert!(
            text.contains("line ") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn a_refused_right_is_named_with_the_rule_that_grants_it() {
        let text = r#"pods is forbidden: User "bob" cannot create resource "pods" in API group "" in the namespace "x""#;
        let hint = forbidden(text).unwrap_or_default();
        assert!(
            hint.contains("`create` `pods`") && hint.contains("verbs: [\"create\"]"),
            "{hint}"
        );
    }
}
