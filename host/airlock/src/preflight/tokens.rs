//! The check that `codex.token_command` is an executable file.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Config;
use airlock_codex::binary::executable;
use airlock_codex::launch::Launch;

pub(super) fn check(config: &Config, launch: &Launch) -> Option<Finding> {
    let program = config.codex.token_command.first()?;
    if launch.home().rehearsal {
        return None;
    }
    let path = config.environment.raw("PATH");
    let candidates: Vec<PathBuf> = match program.contains('/') {
        true => vec![PathBuf::from(program)],
        false => path
            .into_iter()
            .flat_map(std::env::split_paths)
            .map(|folder| folder.join(program))
            .collect(),
    };
    if candidates.iter().any(|file| executable(file)) {
        return None;
    }
    let there = candidates.iter().find(|file| Path::is_file(file));
    let fault = match there {
        Some(file) => format!("{} is not executable; `chmod +x` it", file.display()),
        None if program.contains('/') => {
            format!("there is no file {program}; install it there")
        }
        None => format!("there is no `{program}` in PATH; install it"),
    };
    Some(Finding::Fail(format!(
        "codex.token_command cannot run: {fault}, or correct the setting"
    )))
}
