//! The manifests of a capture, as YAML, instead of the capture.

use super::capture::Capture;
use super::carrier::config_map;
use super::options::DryRun;
use anyhow::{Context as _, Result};

/// The manifests of everything that a capture would create, one document each. With
/// [`DryRun::Server`], the API server is also asked whether it would admit the pods.
pub(super) async fn manifests(capture: &Capture, dry_run: DryRun) -> Result<String> {
    let mut text = String::new();
    let mut add = |value: serde_json::Value| -> Result<()> {
        if !text.is_empty() {
            text += "---\n";
        }
        text += &serde_saphyr::to_string(&value)?;
        Ok(())
    };
    add(serde_json::to_value(capture.session.anchor())?)?;
    for arch in config_map::architectures(&capture.nodes) {
        let mut map = serde_json::to_value(config_map::manifest(&capture.session, arch)?)?;
        // A megabyte helps nobody who reads this.
        map["binaryData"][crate::probes::KEY] = crate::probes::describe(arch).into();
        add(map)?;
    }
    for node in &capture.nodes {
        let pod = capture.first_pod(node)?;
        if dry_run == DryRun::Server {
            capture
                .ask(node)
                .await
                .with_context(|| format!("cannot create the probe on node `{}`", node.name))?;
        }
        add(serde_json::to_value(pod)?)?;
    }
    Ok(text)
}
