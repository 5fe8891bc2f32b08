//! The strategies of a policy, of settings and of another panel.

use super::*;
use crate::panel::{StrategyStep, Table};

/// A strategy of another policy.
#[derive(Debug)]
struct Other(&'static str, bool);

impl Strategy for Other {
    fn name(&self) -> &'static str {
        self.0
    }

    fn waits(&self) -> bool {
        self.1
    }

    fn decide(&mut self, _: &Table) -> StrategyStep {
        StrategyStep::Fallback
    }
}

#[test]
fn a_strategy_that_does_not_wait_ignores_the_quorum() {
    let strategies: [Box<dyn Strategy>; 2] = [
        Box::new(Other("hasty", false)),
        Box::new(Other("first", true)),
    ];
    let ignored = |airlock: &str| {
        let request = request(&with_airlock(&format!("{airlock}\"quorum\":1")), "");
        planned_with(&request, &strategies).unwrap().ignored
    };
    assert_eq!(ignored(""), ["airlock.quorum"]);
    assert_eq!(ignored(r#""synthesis":"hasty","#), ["airlock.quorum"]);
    assert_eq!(ignored(r#""synthesis":"first","#), [""; 0]);
}

#[test]
fn a_policy_has_its_own_strategies_and_settings_choose_the_default() {
    // The first `critique` hides the second.
    let strategies: [Box<dyn Strategy>; 3] = [
        Box::new(Other("critique", true)),
        Box::new(Other("merge", true)),
        Box::new(Other("critique", false)),
    ];
    let chosen = |airlock: &str, settings: &str| {
        let request = request(&with_airlock(airlock), settings);
        planned_with(&request, &strategies).map(|plan| terms(&plan).strategy)
    };
    assert_eq!(chosen("", "").as_deref(), Ok("critique"));
    let settings = r#"{"synthesis":"merge"}"#;
    assert_eq!(chosen("", settings).as_deref(), Ok("merge"));
    let requested = r#""synthesis":"critique""#;
    assert_eq!(chosen(requested, settings).as_deref(), Ok("critique"));
    let unknown = chosen(r#""synthesis":"vote""#, "").unwrap_err();
    assert!(
        unknown
            .message
            .contains("one of `critique`, `merge`, found `vote`"),
        "{}",
        unknown.message
    );
    let problem = chosen("", r#"{"synthesis":"vote"}"#).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Internal);
    assert_eq!(problem.code.as_deref(), Some("invalid_settings"));
}

#[test]
fn a_policy_without_strategies_makes_one_attempt() {
    for (fields, param) in [
        (r#","parallel_calls":2"#, "parallel_calls"),
        (r#","airlock":{"synthesis":"merge"}"#, "airlock.synthesis"),
        (r#","n":2"#, "n"),
    ] {
        let problem = planned_with(&request(fields, ""), &[]).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unsupported);
        assert_eq!(problem.param.as_deref(), Some(param));
    }
    assert_eq!(planned_with(&request("", ""), &[]), Ok(plan("")));
}

#[test]
fn a_strategy_of_another_panel_can_be_named_and_is_the_default() {
    let rendered = |more: &str| {
        let fields = format!(r#","parallel_calls":2{more}"#);
        planned(&request(&fields, r#"{"strategies":["shortest"]}"#))
    };
    for more in ["", r#","airlock":{"synthesis":"shortest"}"#] {
        assert_eq!(terms(&rendered(more).unwrap()).strategy, "shortest");
    }
    let problem = rendered(r#","airlock":{"synthesis":"merge"}"#).unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("airlock.synthesis"));
    assert!(
        problem.message.contains("one of `shortest`"),
        "{}",
        problem.message
    );
}
