//! The fake by itself, over its own input and output: a stand-in for benchmarks, and for a look by hand.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::mpsc;

use super::engine::{Engine, Records};
use super::output::{Out, Output};
use super::script::Script;

/// Lines that may wait to be answered.
const LINES: usize = 64;

/// Answers until the input ends. Returns the exit code.
pub fn run(script: Script) -> io::Result<i32> {
    let (output, written) = Output::new();
    let (line, mut lines) = mpsc::channel::<Vec<u8>>(LINES);
    thread::Builder::new()
        .name("read".to_owned())
        .spawn(move || read(&line))?;
    thread::Builder::new()
        .name("write".to_owned())
        .spawn(move || write(written))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut engine = Engine::new(Arc::new(Mutex::new(script)), output, Records::default());
        while let Some(line) = lines.recv().await {
            engine.receive(&line).await;
        }
    });
    Ok(0)
}

fn read(lines: &mpsc::Sender<Vec<u8>>) {
    for line in BufReader::with_capacity(1 << 16, io::stdin().lock()).split(b'\n') {
        let Ok(line) = line else { return };
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

fn write(mut written: mpsc::Receiver<Out>) {
    let mut output = io::stdout().lock();
    while let Some(out) = written.blocking_recv() {
        let code = match out {
            Out::Bytes(bytes)
                if output
                    .write_all(&bytes)
                    .and_then(|()| output.flush())
                    .is_ok() =>
            {
                continue;
            }
            // Nobody reads: a Codex ends then, too.
            Out::Bytes(_) => 0,
            Out::Exit(code) => code,
        };
        super::relay::exit(code);
    }
}
