//! Where the binary is found, and which versions are accepted.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::CodexConfig;
use airlock_base::environment::Environment;

fn config(data_dir: &Path, bin: Option<PathBuf>) -> CodexConfig {
    CodexConfig {
        bin,
        data_dir: data_dir.to_owned(),
        ..CodexConfig::defaults(Environment::default())
    }
}

fn file(path: &Path, mode: u32) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.canonicalize().unwrap()
}

/// The package and triple of the machine that runs the tests.
fn platform() -> (&'static str, &'static str) {
    let found = TARGETS
        .iter()
        .find(|target| target.0 == std::env::consts::ARCH)
        .unwrap();
    (found.1, found.2)
}

/// The environment of a user whose home is this folder, with programs in `bin`.
fn environment(home: &Path) -> Environment {
    let bin = home.join("bin");
    [("HOME", home), ("PATH", bin.as_path())]
        .map(|(name, path)| (name, path.to_str().unwrap()))
        .into_iter()
        .collect()
}

/// The binary of an install in this data folder.
fn installed(data: &Path) -> PathBuf {
    let (package, triple) = platform();
    let modules = data.join("codex/node_modules/@openai");
    file(&modules.join("codex/bin/codex.js"), 0o755);
    file(
        &modules.join(format!("{package}/vendor/{triple}/bin/codex")),
        0o755,
    )
}

#[test]
fn a_link_to_the_npm_script_leads_to_the_native_binary() {
    let folder = tempfile::tempdir().unwrap();
    let modules = folder.path().join("lib/node_modules");
    let script = file(&modules.join("@openai/codex/bin/codex.js"), 0o755);
    let link = folder.path().join("codex");
    std::os::unix::fs::symlink(&script, &link).unwrap();
    let (package, triple) = platform();

    let found = find(
        &config(folder.path(), Some(link.clone())),
        &Environment::default(),
    );
    assert_eq!(
        found,
        Err(BinaryError::Incomplete {
            script: script.clone(),
            package
        })
    );

    // Beside the script's package, or within it, as in a global install.
    let tail = format!("@openai/{package}/vendor/{triple}/bin/codex");
    for modules_dir in [modules.join("@openai/codex/node_modules"), modules.clone()] {
        let real = file(&modules_dir.join(&tail), 0o755);
        assert_eq!(
            find(
                &config(folder.path(), Some(link.clone())),
                &Environment::default(),
            ),
            Ok(real.clone())
        );
        fs::remove_file(real).unwrap();
    }
}

#[test]
fn the_named_binary_comes_before_the_install_and_the_install_before_path() {
    let folder = tempfile::tempdir().unwrap();
    let on_path = file(&folder.path().join("bin/codex"), 0o755);
    let environment = environment(folder.path());
    let data = folder.path().join("data");
    assert_eq!(find(&config(&data, None), &environment), Ok(on_path));

    // The default folder of `airlock codex install` is searched with any data folder.
    let usual = installed(&folder.path().join(".local/share/airlock"));
    assert_eq!(find(&config(&data, None), &environment), Ok(usual));

    let own = installed(&data);
    assert_eq!(find(&config(&data, None), &environment), Ok(own));

    let named = file(&folder.path().join("named"), 0o755);
    assert_eq!(
        find(&config(&data, Some(named.clone())), &environment),
        Ok(named)
    );
}

#[test]
fn a_named_binary_that_is_missing_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder.path().join("bin/codex"), 0o755);
    let missing = folder.path().join("elsewhere");
    let found = find(
        &config(folder.path(), Some(missing.clone())),
        &environment(folder.path()),
    );
    assert_eq!(found, Err(BinaryError::Missing(missing)));
}

#[test]
fn path_is_searched_for_executable_files_only() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder.path().join("bin/codex"), 0o644);
    let found = find(
        &config(&folder.path().join("data"), None),
        &environment(folder.path()),
    );
    let searched = ["data/codex", ".local/share/airlock/codex"];
    assert_eq!(
        found,
        Err(BinaryError::NotFound(
            searched.map(|it| folder.path().join(it)).to_vec()
        ))
    );
}

#[test]
fn versions_are_judged_by_the_tested_range() {
    let judged = |printed: &str| {
        check_version(Path::new("/codex"), printed).map(|binary| (binary.version, binary.supported))
    };
    assert_eq!(
        judged("codex-cli 0.163.0\n"),
        Ok(("0.163.0".to_owned(), true))
    );
    assert_eq!(
        judged("codex-cli 0.169.12"),
        Ok(("0.169.12".to_owned(), true))
    );
    assert_eq!(
        judged("codex-cli 0.170.0-alpha.1"),
        Ok(("0.170.0-alpha.1".to_owned(), false))
    );
    assert_eq!(judged("codex-cli 1.0.0"), Ok(("1.0.0".to_owned(), false)));
    assert!(matches!(
        judged("codex-cli 0.162.9"),
        Err(BinaryError::TooOld { .. })
    ));
    assert!(matches!(judged("0.0.0"), Err(BinaryError::TooOld { .. })));
    assert!(matches!(
        judged("hello 1.2"),
        Err(BinaryError::Unusable { .. })
    ));
    assert!(matches!(judged(""), Err(BinaryError::Unusable { .. })));
}

#[test]
fn clients_get_the_remedy_and_no_paths() {
    let path = PathBuf::from("/home/somebody/codex");
    let errors = [
        BinaryError::NotFound(vec![path.clone()]),
        BinaryError::Missing(path.clone()),
        BinaryError::Incomplete {
            script: path.clone(),
            package: "codex-linux-x64",
        },
        BinaryError::Unusable {
            path: path.clone(),
            cause: "/etc/secret".to_owned(),
        },
        BinaryError::TooOld {
            path,
            version: "0.1.0".to_owned(),
        },
    ];
    for error in errors {
        let problem = error.problem();
        assert_eq!(problem.kind, ProblemKind::Overloaded);
        assert!(
            !problem.message.contains("/home") && !problem.message.contains("/etc"),
            "{}",
            problem.message
        );
        assert!(
            error.to_string().contains("/home/somebody/codex"),
            "{error}"
        );
    }
}
