//! The connection, by kubectl's own flags, and what refusals of the API server mean.

use crate::hint::Advised;
use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

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
    /// Address of the API server
    #[arg(short, long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Bearer token
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// How long the API server may be silent before a request is begun anew [default: 60s]
    #[arg(long, value_parser = crate::session::parse_duration, value_name = "DURATION")]
    pub(crate) request_timeout: Option<f64>,
}

/// A client, and the namespace to work in.
pub(crate) async fn connect(connection: &Connection) -> Result<(Client, String)> {
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    };
    let explicit =
        connection.context.is_some() || connection.cluster.is_some() || connection.user.is_some();
    let config = match &connection.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig `{}`", path.display()))?;
            Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(anyhow::Error::from)
        }
        None if explicit => Config::from_kubeconfig(&options)
            .await
            .map_err(anyhow::Error::from),
        None => Config::infer().await.map_err(anyhow::Error::from),
    };
    let mut config = config.context("cannot find out how to reach the cluster").map_err(|error| {
        error.context(Advised {
            message: "no usable kubeconfig".to_owned(),
            hint: "check `kubectl config view`, or name one with --kubeconfig; without a cluster, use --local".to_owned(),
        })
    })?;
    if let Some(server) = &connection.server {
        config.cluster_url = server
            .parse()
            .with_context(|| format!("`{server}` is no URL"))?;
    }
    if let Some(user) = &connection.as_user {
        config.auth_info.impersonate = Some(user.clone());
    }
    if !connection.as_group.is_empty() {
        config.auth_info.impersonate_groups = Some(connection.as_group.clone());
    }
    if let Some(token) = &connection.token {
        config.auth_info.token = Some(token.clone().into());
    }
    if connection.insecure_skip_tls_verify {
        config.accept_invalid_certs = true;
    }
    // A probe writes a line each second, so that its log is never silent for longer; a watch is
    // simply begun anew.
    let silence = Duration::from_secs_f64(connection.request_timeout.unwrap_or(60.0).max(3.0));
    config.connect_timeout = Some(silence);
    config.read_timeout = Some(silence);
    let namespace = connection
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client =
        Client::try_from(config).context("cannot set up the connection to the API server")?;
    Ok((client, namespace))
}

/// What a refusal means and what to do about it.
pub(crate) fn explain(error: kube::Error) -> anyhow::Error {
    let hint = match &error {
        kube::Error::Api(status) => hint(&status.message, status.code),
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            Some("check that the API server can be reached: `kubectl version`".to_owned())
        }
        _ => None,
    };
    let message = match &error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    match hint {
        Some(hint) => Advised { message, hint }.into(),
        None if matches!(error, kube::Error::Api(_)) => anyhow::anyhow!(message),
        None => error.into(),
    }
}

fn hint(message: &str, code: u16) -> Option<String> {
    if message.contains("violates PodSecurity") {
        return Some("the namespace forbids privileged pods: name one that allows them with `--probe-namespace kube-system`".to_owned());
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
        return Some("on OpenShift the user needs the `privileged` SCC: `oc adm policy add-scc-to-user privileged USER`".to_owned());
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
    use super::forbidden;

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
