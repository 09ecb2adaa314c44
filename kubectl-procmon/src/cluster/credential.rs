//! Credential plugins of a kubeconfig, run once for a command: each run may be a password, a touch of a
//! key, or a second of a cloud's tool. The library runs them once for each part of a connection.
//!
//! The protocol is client.authentication.k8s.io: the plugin reads `KUBERNETES_EXEC_INFO` and writes an
//! `ExecCredential`.

use crate::hint::{Advised, advised};
use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use std::future::Future;
use std::io::{ErrorKind, IsTerminal as _};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::{AsyncFilterLayer, AsyncPredicate};

/// A token is asked for again when it ends sooner than this.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The document that a credential plugin writes.
#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// A token that ends, and the plugin that gives another one.
struct Token {
    header: HeaderValue,
    ends: Timestamp,
    exec: ExecConfig,
}

/// Puts a token into each request, another one when the last has ended.
#[derive(Clone)]
pub(super) struct Renewing(Arc<Mutex<Token>>);

impl AsyncPredicate<http::Request<Body>> for Renewing {
    type Future = Pin<Box<dyn Future<Output = Result<Self::Request, BoxError>> + Send>>;
    type Request = http::Request<Body>;

    fn check(&mut self, mut request: Self::Request) -> Self::Future {
        let token = Arc::clone(&self.0);
        Box::pin(async move {
            let mut token = token.lock().await;
            if Timestamp::now() + MARGIN >= token.ends {
                let status = run(token.exec.clone()).await?;
                let text = status.token.unwrap_or_default();
                token.header = header(&text)?;
                token.ends =
                    ends(status.expiration_timestamp.as_deref())?.unwrap_or(Timestamp::MAX);
            }
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, token.header.clone());
            Ok(request)
        })
    }
}

/// Runs the plugin of a user, if it has one that counts, and puts its credential in its place. A token
/// that ends comes back as the layer that renews it instead.
pub(super) async fn ask(user: &mut AuthInfo) -> Result<Option<AsyncFilterLayer<Renewing>>> {
    let has_other = user.token.is_some()
        || user.token_file.is_some()
        || user.auth_provider.is_some()
        || (user.username.is_some() && user.password.is_some());
    if has_other {
        return Ok(None);
    }
    let Some(exec) = user.exec.take() else {
        return Ok(None);
    };
    let status = run(exec.clone()).await?;
    if let (Some(certificate), Some(key)) = (status.client_certificate_data, status.client_key_data)
    {
        user.client_certificate_data = Some(BASE64.encode(certificate));
        user.client_key_data = Some(BASE64.encode(key).into());
    }
    let ends = ends(status.expiration_timestamp.as_deref())?;
    match (status.token, ends) {
        (Some(token), Some(ends)) => {
            let header = header(&token)?;
            let token = Token { header, ends, exec };
            let renewing = Renewing(Arc::new(Mutex::new(token)));
            Ok(Some(AsyncFilterLayer::new(renewing)))
        }
        (Some(token), None) => {
            user.token = Some(token.into());
            Ok(None)
        }
        (None, _) => Ok(None),
    }
}

/// When a token ends.
fn ends(text: Option<&str>) -> Result<Option<Timestamp>> {
    text.map(|text| {
        text.parse().with_context(|| {
            format!("the credential plugin's `expirationTimestamp` `{text}` is no time")
        })
    })
    .transpose()
}

fn header(token: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        anyhow!("the credential plugin's token is no text that a request can carry")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Runs a plugin, which may wait for a person, beside everything else.
async fn run(exec: ExecConfig) -> Result<Status> {
    tokio::task::spawn_blocking(move || run_once(&exec))
        .await
        .context("the credential plugin was not waited for")?
}

fn run_once(exec: &ExecConfig) -> Result<Status> {
    let name = exec
        .command
        .as_deref()
        .context("the kubeconfig names a credential plugin without a command")?;
    let may_ask = exec.interactive_mode != Some(ExecInteractiveMode::Never);
    let interactive = may_ask && std::io::stdin().is_terminal();
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) && !interactive {
        return Err(advised(
            format!("the credential plugin `{name}` needs a terminal"),
            "run this command in a terminal, or use a kubeconfig with other credentials",
        ));
    }
    let cluster = match (&exec.cluster, exec.provide_cluster_info) {
        (Some(cluster), true) => Some(serde_json::to_value(cluster)?),
        _ => None,
    };
    let mut told = serde_json::json!({
        "apiVersion": exec.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": interactive},
    });
    if let Some(cluster) = cluster {
        told["spec"]["cluster"] = cluster;
    }
    let mut command = Command::new(name);
    let variables = exec.env.iter().flatten();
    command
        .args(exec.args.iter().flatten())
        .envs(variables.filter_map(|pair| pair.get("name").zip(pair.get("value"))))
        .env("KUBERNETES_EXEC_INFO", told.to_string())
        .stdin(if interactive {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .stderr(Stdio::inherit());
    let output = command.output().map_err(|error| {
        let hint = match (&exec.install_hint, error.kind()) {
            (Some(hint), ErrorKind::NotFound) => hint.clone(),
            _ => "check `users[].user.exec.command` of the kubeconfig".to_owned(),
        };
        anyhow::Error::from(error).context(Advised {
            message: format!("cannot run the credential plugin `{name}`"),
            hint,
        })
    })?;
    if !output.status.success() {
        return Err(advised(
            format!("the credential plugin `{name}` failed: {}", output.status),
            "what it says above is the reason; it is run by the kubeconfig's `users[].user.exec`",
        ));
    }
    // As kubectl does: some write YAML.
    let text = String::from_utf8_lossy(&output.stdout);
    let credential: ExecCredential = match serde_saphyr::from_str(&text) {
        Ok(credential) => credential,
        // Not with its text: that may hold the credentials.
        Err(_) => bail!("the credential plugin `{name}` wrote no ExecCredential"),
    };
    credential.status.with_context(|| {
        format!("the credential plugin `{name}` wrote an ExecCredential without a status")
    })
}
