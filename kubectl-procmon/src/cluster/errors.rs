//! Errors of the API server: their meaning, and what to do about them.

use crate::hint::Advised;
use std::sync::OnceLock;

/// The API server that is talked to, for errors.
static SERVER: OnceLock<String> = OnceLock::new();

/// Says which API server errors are about.
pub(super) fn name_server(url: String) {
    let _ = SERVER.set(url);
}

/// Why no connection can be set up.
pub(super) fn explain_setup(error: kube::Error) -> anyhow::Error {
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

/// The API server refuses it, and will go on refusing it.
pub(super) fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

/// Says what a refusal means and what to do about it.
pub(super) fn explain(error: kube::Error) -> anyhow::Error {
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

/// The text of [`explain`], as one value without a chain of errors.
pub(super) fn advice(error: kube::Error) -> Advised {
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

/// The rule that grants what `… cannot VERB resource "RESOURCE" in API group "GROUP" in the namespace
/// "NAMESPACE"` refuses.
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
    fn a_refused_right_is_named_with_the_rule_that_grants_it() {
        let text = r#"pods is forbidden: User "bob" cannot create resource "pods" in API group "" in the namespace "x""#;
        let hint = forbidden(text).unwrap_or_default();
        assert!(
            hint.contains("`create` `pods`") && hint.contains("verbs: [\"create\"]"),
            "{hint}"
        );
    }
}
