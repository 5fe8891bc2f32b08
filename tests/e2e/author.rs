//! The author's kit: a new project of each role builds with one command, passes its tests, and serves.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlock_tests::{FakeCodex, Gateway, Script, angle, programs, within};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// The timeout of cargo's first build, on a busy machine.
const BUILD: Duration = Duration::from_secs(500);

/// A PNG of one pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A folder for projects.
struct AuthorProjects(TempDir);

impl AuthorProjects {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Runs a program in a folder, with the paths of Rust and its crates as the only environment. The target
    /// folder is shared, because all projects have the same dependencies. Returns success, standard output and standard error.
    async fn run(&self, command: &mut Command, folder: &Path) -> Result<(bool, String, String)> {
        let target = programs::target()?.join("author");
        command
            .current_dir(folder)
            .env_clear()
            .envs(programs::rust())
            .env("CARGO_TARGET_DIR", target)
            // The crates in the lock file are downloaded already, for this workspace.
            .env("CARGO_NET_OFFLINE", "true")
            .kill_on_drop(true);
        let output = within(BUILD, "a build", command.output()).await??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        ))
    }

    async fn airlock(&self, arguments: &[&str]) -> Result<(bool, String, String)> {
        let mut command = Command::new(programs::airlock()?);
        command.arg("policy").args(arguments);
        self.run(&mut command, self.0.path()).await
    }

    /// A new project, with the versions of dependencies and the compiler of this workspace.
    async fn project(&self, name: &str, role: &str) -> Result<PathBuf> {
        let (done, _, errors) = self.airlock(&["new", name, "--role", role]).await?;
        ensure!(done, "{errors}");
        let project = self.0.path().join(name);
        for file in ["Cargo.lock", "rust-toolchain.toml"] {
            fs::copy(programs::workspace().join(file), project.join(file))?;
        }
        Ok(project)
    }

    /// Builds a project. Returns the policy and the command's output.
    async fn built(&self, role: &str) -> Result<(PathBuf, String)> {
        let name = format!("a-{role}");
        let project = self.project(&name, role).await?;
        let (done, output, errors) = self.airlock(&["build", &name]).await?;
        ensure!(done, "{role}: {errors}");
        // Warnings in an unchanged project are our faults.
        ensure!(!errors.contains("warning: "), "{role}: {errors}");
        Ok((project.join(format!("{name}.wasm")), output))
    }

    /// Runs a project's own tests, in release mode, for which its dependencies are built already.
    async fn passes(&self, role: &str) -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--release", "--quiet"]);
        let folder = self.0.path().join(format!("a-{role}"));
        let (done, output, errors) = self.run(&mut cargo, &folder).await?;
        ensure!(
            done && output.contains("test result: ok"),
            "{output}\n{errors}"
        );
        Ok(())
    }
}

/// Three candidates, of which the second is the shortest.
fn script() -> Script {
    [
        (1, "Four, as anybody can see."),
        (2, "Four."),
        (3, "It is four."),
    ]
    .into_iter()
    .fold(Script::new(), |script, (candidate, text)| {
        script.when_instructed(&angle(candidate), |turn| turn.text(text))
    })
}

async fn serving(policy: &Path) -> Result<(FakeCodex, Gateway)> {
    let fake = FakeCodex::start(script())?;
    let gateway = Gateway::with()
        .policy(OsString::from(policy))
        .over_fake(&fake)
        .await?;
    Ok((fake, gateway))
}

#[tokio::test]
async fn a_new_strategy_decides_a_fan_out() -> Result<()> {
    let projects = AuthorProjects::new()?;
    let (policy, output) = projects.built("synthesize").await?;
    for words in [
        "from a-synthesize: manifest, synthesize",
        "from the shipped policy: admit, prompt, translate, relay",
        "sha256:",
    ] {
        ensure!(output.contains(words), "{output}");
    }
    projects.passes("synthesize").await?;
    let (_fake, gateway) = serving(&policy).await?;
    let response = gateway.client().fan_out(3, json!({})).await?;
    assert_eq!(response.text, "Four.");
    let synthesis = &response.airlock["synthesis"];
    assert_eq!(synthesis["candidate"], 2);
    assert_eq!(synthesis["strategy"], "shortest");
    assert_eq!(
        (&synthesis["characters"], &synthesis["of"]),
        (&json!(5), &json!(3))
    );

    // The strategy that the manifest lists can be named; one that it does not list cannot.
    let named = |name: &str| json!({"airlock": {"synthesis": name}});
    let response = gateway.client().fan_out(3, named("shortest")).await?;
    assert_eq!(response.text, "Four.");
    let reply = gateway
        .client()
        .chat(airlock_tests::fan_out(3, named("merge")))
        .await?;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert_eq!(reply.error("param"), "airlock.synthesis");

    // Composing cargo's module by hand gives the same component.
    let module =
        programs::target()?.join("author/wasm32-unknown-unknown/release/a_synthesize.wasm");
    let module = module.to_str().context("a path that is no text")?;
    let (done, _, errors) = projects
        .airlock(&["compose", module, "-o", "by-hand.wasm"])
        .await?;
    ensure!(done, "{errors}");
    assert!(fs::read(projects.0.path().join("by-hand.wasm"))? == fs::read(&policy)?);
    let twice = ["compose", module, module, "-o", "twice.wasm"];
    let (done, _, errors) = projects.airlock(&twice).await?;
    assert!(!done && errors.contains("manifest"), "{errors}");
    Ok(())
}

#[tokio::test]
async fn a_new_policy_of_each_other_role_serves() -> Result<()> {
    let projects = AuthorProjects::new()?;
    for role in ["translate", "prompt", "admit", "all"] {
        let (policy, _) = projects.built(role).await?;
        projects.passes(role).await?;
        let (fake, gateway) = serving(&policy).await?;
        let client = gateway.client();
        assert_eq!(client.ask("fine").await?, "You said: fine", "{role}");
        let messages = json!([{"role": "user", "content": "fine"}]);
        let mut stream = client.stream(json!({"messages": messages})).await?;
        assert_eq!(stream.text().await?, "You said: fine", "{role}");
        let threads = fake.received("thread/start");
        let ruled = threads.iter().all(|it| {
            it["params"]["baseInstructions"]
                .to_string()
                .contains("five sentences")
        });
        assert_eq!(ruled, ["prompt", "all"].contains(&role), "{role}");
        let models = client.get("/v1/models").await?;
        assert!(
            models.body["data"]
                .as_array()
                .is_some_and(|it| !it.is_empty())
        );
        if role == "all" {
            // All candidates answer the same, so the first of them is picked as the shortest.
            let body = json!({"messages": messages, "parallel_calls": 2});
            let reply = client.chat(body).await?;
            assert_eq!(reply.text()?, "You said: fine");
            assert_eq!(fake.received("turn/start").len(), 4);
            assert_eq!(
                reply.body["airlock"],
                Value::Null,
                "its own translator is plain"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_new_prompt_keeps_all_that_the_shipped_one_does() -> Result<()> {
    let projects = AuthorProjects::new()?;
    let (policy, output) = projects.built("prompt").await?;
    ensure!(
        output.contains("from a-prompt: manifest, prompt"),
        "{output}"
    );
    let (fake, gateway) = serving(&policy).await?;
    let body = json!({
        "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "fine"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ]}],
    });
    let reply = gateway.client().chat(body).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("x-airlock-ignored"), "");
    let threads = fake.received("thread/start");
    let thread = &threads.last().context("no thread")?["params"];
    assert_eq!(thread["dynamicTools"][0]["name"], "look");
    let instructions = thread["baseInstructions"].as_str().unwrap_or_default();
    assert!(instructions.contains("five sentences"), "{instructions}");
    let turns = fake.received("turn/start");
    let turn = &turns.last().context("no turn")?["params"];
    assert_eq!(turn["effort"], "high");
    assert_eq!(turn["outputSchema"], json!({"type": "object"}));
    Ok(())
}

#[tokio::test]
async fn a_check_names_the_parameters_that_a_policy_does_not_honour() -> Result<()> {
    let projects = AuthorProjects::new()?;
    let (_, output) = projects.built("all").await?;
    ensure!(output.contains("from a-all:"), "{output}");
    let file = projects.0.path().join("a-all/a-all.wasm");
    let file = file.to_str().context("a path that is no text")?;
    let (passed, output, errors) = projects.airlock(&["check", file]).await?;
    ensure!(passed, "{output}{errors}");
    let line = output.lines().find(|line| line.contains("parameters"));
    let line = line.context("no line on parameters")?;
    assert!(line.starts_with("warn"), "{line}");
    for words in [
        "refused: images",
        "ignored: tools",
        "response_format",
        "reasoning_effort",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_project_that_does_not_compile_is_reported_with_the_compilers_output() -> Result<()> {
    let projects = AuthorProjects::new()?;
    // A name of its own: tests run at the same time, in one target folder.
    let project = projects.project("a-broken", "admit").await?;
    let file = project.join("src/admit.rs");
    let source = fs::read_to_string(&file)?;
    fs::write(
        &file,
        source.replace("load.longest_wait <", "load.longest_weight <"),
    )?;
    let (done, output, errors) = projects.airlock(&["build", "a-broken"]).await?;
    assert!(!done && output.is_empty(), "{output}");
    assert!(errors.contains("longest_weight"), "{errors}");
    let last = errors.lines().last().context("nothing")?;
    assert_eq!(
        last,
        "airlock: a-broken does not build; cargo's words are above"
    );
    assert!(!project.join("a-broken.wasm").exists());
    Ok(())
}
