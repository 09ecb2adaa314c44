//! How to reach the cluster, as kubectl finds it out: the kubeconfig, what flags change in it, or the
//! pod that this runs in.

use super::connection::Connection;
use crate::hint::{Advised, advised};
use anyhow::{Context as _, Result};
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::path::{Path, PathBuf};

/// How to reach the cluster: from the kubeconfig, or from the pod that this runs in.
pub(super) async fn load(connection: &Connection) -> Result<Config> {
    let mut config = find(connection).await?;
    override_by_flags(&mut config, connection)?;
    config.cluster_url = server_url(&config.cluster_url.to_string())?;
    Ok(config)
}

/// From the files, or from the pod that this runs in.
async fn find(connection: &Connection) -> Result<Config> {
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

/// All files that kubectl would read, as one. Files in `KUBECONFIG` that do not exist are left out.
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

/// Says what is wrong with a kubeconfig, without its text: that may hold credentials.
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

/// Changes what flags name.
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
}
