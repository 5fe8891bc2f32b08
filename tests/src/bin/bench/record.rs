//! `target/bench.json`: the latest measurement of each part, and whether it meets the goals.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::{PARTS, goals};

/// The key of the conditions under which each part was measured.
const MEASURED: &str = "measured";

/// The figures of this run and of earlier runs.
pub(super) struct Record {
    /// None: nothing is parts.
    file: Option<PathBuf>,
    conditions: Value,
    parts: Value,
    now: Value,
}

impl Record {
    /// Opens the file. A run replaces it part by part.
    pub(super) fn open(file: Option<PathBuf>, conditions: Value) -> Result<Self> {
        let mut parts = match &file {
            Some(file) => read(file).with_context(|| format!("reading {}", file.display()))?,
            None => Map::new(),
        };
        // Other keys are from an older version of the benchmark.
        parts.retain(|name, _| PARTS.contains(&name.as_str()) || name == MEASURED);
        Ok(Self {
            file,
            conditions,
            parts: Value::Object(parts),
            now: Value::Object(Map::new()),
        })
    }

    /// Replaces the figures of a part, and writes the file at once, so that a later failure loses nothing.
    #[expect(
        clippy::disallowed_methods,
        reason = "the figures of a benchmark need no sync"
    )]
    pub(super) fn keep(&mut self, part: &str, figures: Value) -> Result<()> {
        let mut measured = self.conditions.clone();
        measured["unix_time"] = SystemTime::now()
            .duration_since(UNIX_EPOCH)?
            .as_secs()
            .into();
        self.now[part] = figures.clone();
        self.parts[part] = figures;
        self.parts[MEASURED][part] = measured;
        let verdicts = goals::verdicts(&self.parts);
        self.parts["goals"] = verdicts;
        let Some(file) = &self.file else {
            return Ok(());
        };
        // Renamed, so that the file is complete at any time.
        let draft = file.with_extension("json.new");
        fs::write(&draft, serde_json::to_string_pretty(&self.parts)?)?;
        fs::rename(&draft, file).with_context(|| format!("writing {}", file.display()))
    }

    /// The figures of this run so far.
    pub(super) fn now(&self) -> &Value {
        &self.now
    }
}

fn read(file: &Path) -> Result<Map<String, Value>> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_replaces_only_the_parts_that_it_measures() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.json");
        fs::write(&file, r#"{"conditions": {}, "start": {"median_ms": 1}}"#).unwrap();
        let run = |version: &str, part: &str, figures: Value| {
            let mut record =
                Record::open(Some(file.clone()), json!({ "version": version })).unwrap();
            record.keep(part, figures).unwrap();
            assert_eq!(record.now().as_object().unwrap().len(), 1);
        };
        run("1", "turns", json!({"20": {"of_defaults": 1.2}}));
        run("2", "start", json!({"median_ms": 60.0}));
        run("3", "start", json!({"median_ms": f64::NAN}));
        let parts: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(parts.get("conditions"), None);
        assert_eq!(parts["start"], json!({"median_ms": null}));
        assert_eq!(parts["turns"]["20"]["of_defaults"], 1.2);
        assert_eq!(parts["measured"]["turns"]["version"], "1");
        assert_eq!(parts["measured"]["start"]["version"], "3");
        assert!(parts["measured"]["start"]["unix_time"].is_u64());
        let verdict = |at: &str| {
            let goals = parts["goals"].as_array().unwrap();
            let goal = goals.iter().find(|goal| goal["at"] == at).unwrap();
            goal["reached"].clone()
        };
        assert_eq!(verdict("/turns/20/of_defaults"), json!(false));
        assert_eq!(verdict("/start/median_ms"), Value::Null);
        assert_eq!(verdict("/idle/real/idle_mib"), Value::Null);
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.json");
        fs::write(&file, "no JSON").unwrap();
        assert!(Record::open(Some(file.clone()), json!({})).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"no JSON");
    }
}
