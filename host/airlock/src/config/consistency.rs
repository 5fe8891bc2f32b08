//! Checks of the whole configuration: settings that contradict each other, and values that are probably not intended.

use super::{Config, ConfigError, SETTINGS, Setting};
use airlock_base::memory;

/// Checks what the values of several settings must fulfil together before a gateway can serve.
///
/// # Errors
/// The settings that contradict each other.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if !config.server.listen.ip().is_loopback() && config.server.api_key.is_none() {
        return Err(ConfigError::Conflict(format!(
            "listen is {}, which others can reach, and there is no api_key: set AIRLOCK_API_KEY, or listen on 127.0.0.1",
            config.server.listen
        )));
    }
    let keys = config
        .server
        .admin_key
        .as_ref()
        .zip(config.server.api_key.as_ref());
    if keys.is_some_and(|(admin, api)| admin.expose() == api.expose()) {
        return Err(ConfigError::Conflict(
            "admin_key is the same as api_key, so every client could change policies: set another"
                .to_owned(),
        ));
    }
    if config.codex.token_url.is_some() && !config.codex.token_command.is_empty() {
        return Err(ConfigError::Conflict(
            "codex.token_command and codex.token_url are both set: leave one of them out"
                .to_owned(),
        ));
    }
    let memory = config.server.limits.body_memory_bytes;
    let (body, least) = (
        config.server.limits.body_bytes,
        memory::minimum(config.server.limits.body_bytes),
    );
    if memory != 0 && memory < least {
        return Err(ConfigError::Conflict(format!(
            "limits.body_memory_bytes ({memory}) is too small for a body of limits.body_bytes ({body}), which takes {least}: raise the one or lower the other"
        )));
    }
    // Codex repeats the prompt in one line, and a longer line than the limit ends its child with every turn.
    let (body, line) = (
        config.server.limits.body_bytes,
        config.codex.limits.line_bytes,
    );
    if line / 2 < body {
        return Err(ConfigError::Conflict(format!(
            "limits.line_bytes ({line}) must be at least twice limits.body_bytes ({body}): raise the one or lower the other"
        )));
    }
    Ok(())
}

/// Warnings about values that are valid but probably not intended.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let known = |name: &str| {
        let is_setting = |setting: &Setting| {
            setting.variable() == name || setting.former_variable().as_deref() == Some(name)
        };
        name == "AIRLOCK_CONFIG" || SETTINGS.iter().any(is_setting)
    };
    for (name, _) in config.environment.iter() {
        if name.starts_with("AIRLOCK_") && !known(name) {
            warnings.push(format!(
                "{name} is set, but there is no such setting; `airlock config` lists all"
            ));
        }
    }
    // A request holds its sandbox while it waits for a turn.
    let held = config
        .codex
        .limits
        .turns
        .saturating_add(config.server.limits.queue);
    if (config.policy.sandbox.instances as usize) < held {
        warnings.push(format!(
            "sandbox.instances ({}) is less than limits.turns + limits.queue ({held}), so the queue cannot fill",
            config.policy.sandbox.instances
        ));
    }
    if config.policy.require_signature && config.policy.public_keys.is_empty() {
        warnings.push(
            "policies.require_signature is on and policies.public_keys is empty, so no policy but the embedded one is loaded"
                .to_owned(),
        );
    }
    if config.server.rehearsal && config.codex.home.is_some() {
        warnings.push("codex.home is not used in rehearsal".to_owned());
    }
    warnings
}
