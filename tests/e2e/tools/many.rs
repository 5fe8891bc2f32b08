//! A thousand conversations with pending calls: how many turns are parked, which ones, and that none is left behind.

use airlock_tests::{Conversation, FakeCodex, Gateway, Script};
use anyhow::Result;
use futures_util::future::try_join_all;

use super::{OSLO, WEATHER, asking, outcome};

const ALL: usize = 1000;
/// The default of `limits.parked_turns`.
const BOUND: usize = 64;
/// The number of concurrent clients, to save time.
const AT_ONCE: usize = 8;

async fn ask(mut talk: Conversation) -> Result<Conversation> {
    talk.ask().await?;
    Ok(talk)
}

/// Sends the result, and checks whether the turn was resumed or rebuilt.
async fn expect(talk: &mut Conversation, turn: &str, text: &str) -> Result<()> {
    let reply = talk.answer(&[("call_1", "7")]).await?;
    assert_eq!(
        outcome(&reply),
        (turn, "stop", text),
        "{}",
        talk.messages[0]
    );
    Ok(())
}

#[tokio::test]
async fn of_a_thousand_turns_that_wait_the_newest_go_on() -> Result<()> {
    let mut script = Script::new();
    for _ in 0..ALL {
        script = script.turn(|turn| turn.call("call_1", WEATHER, OSLO).text("Waited."));
    }
    let fake = FakeCodex::start(script.every_turn(|turn| turn.text("Cold.")))?;
    let gateway = Gateway::over_fake(&fake).await?;
    let numbers: Vec<_> = (0..ALL).collect();
    let (before, newest) = numbers.split_at(ALL - BOUND);
    let mut older = Vec::new();
    for numbers in before.chunks(AT_ONCE) {
        let talks = numbers.iter().map(|number| {
            let talk = asking(&gateway, &format!("question {number}"));
            ask(talk)
        });
        older.extend(try_join_all(talks).await?);
    }
    let mut talks = Vec::new();
    for number in newest {
        let talk = asking(&gateway, &format!("question {number}"));
        talks.push(ask(talk).await?);
    }
    // Only the threads of parked turns are open.
    fake.expect_count("thread/unsubscribe", ALL - BOUND).await?;
    fake.expect_endings("interrupted", ALL - BOUND).await?;
    assert_eq!(fake.received("thread/start").len(), ALL);
    assert_eq!(fake.received("thread/unsubscribe").len(), ALL - BOUND);

    for talk in talks.iter_mut().rev() {
        expect(talk, "resumed", "Waited.").await?;
    }
    assert_eq!(fake.results().len(), BOUND);
    for number in [0, older.len() / 2, older.len() - 1] {
        expect(&mut older[number], "rebuilt", "Cold.").await?;
    }
    fake.expect_endings("completed", BOUND + 3).await?;
    fake.expect_threads_returned().await
}
