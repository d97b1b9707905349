//! `gopcast top`: the snapshot on the terminal, again and again.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::Context as _;
use service::clock;

use super::{
    Snapshot, Watcher, scrape,
    screen::{self, Screen},
};
use crate::{args::TopArgs, exit::Exit, output, stack::Stack};

/// The screen where there is no terminal: as wide and as long as need be.
const PAPER: Screen = Screen { width: 200, height: usize::MAX, colours: false };
/// Set to anything, it asks programs for no colours (<https://no-color.org>).
const NO_COLOR: &str = "NO_COLOR";
/// Switches to the terminal's other screen, and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Back to the screen as it was, the cursor shown.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the top left.
const HOME: &str = "\x1b[H";
/// Clears what is right of the cursor, and what is below.
const CLEAR_LINE: &str = "\x1b[K";
/// See [`CLEAR_LINE`].
const CLEAR_BELOW: &str = "\x1b[J";

/// What `gopcast up` has looked at less than this ago, in microseconds, is fresh: it looks each second.
const FRESH_MICROS: i64 = 2_500_000;
/// Questions until the answer is fresh, at most.
const FRESH_TRIES: u32 = 20;
/// Wait between them.
const FRESH_PAUSE: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// When no stack is running, or it can't be read.
pub async fn run(args: TopArgs) -> anyhow::Result<Exit> {
    let (_, stack) = Stack::of(&args.stack)?;
    let mut source = Source::of(&stack).await;
    let every = Duration::from_secs_f64(args.every);
    if args.stack.json {
        return each(every, args.once, tokio::signal::ctrl_c(), async || {
            output::json(&source.look().await?)?;
            anyhow::Ok(())
        })
        .await;
    }
    // The first look by itself: rates need a second one.
    source.look().await?;
    tokio::time::sleep(every.min(FIRST_PAUSE)).await;
    if args.once || !std::io::stdout().is_terminal() {
        output::print(&screen::text(&source.look().await?, PAPER));
        return Ok(Exit::Done);
    }
    let _other = OtherScreen::enter();
    each(every, false, tokio::signal::ctrl_c(), async || {
        draw(&source.look().await?);
        anyhow::Ok(())
    })
    .await
}

/// Wait for the second look.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Does it now and at each interval, until `stop` (Ctrl-C), which is heard in the middle of it as well.
async fn each(
    every: Duration,
    once: bool,
    stop: impl Future<Output = std::io::Result<()>>,
    mut act: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let acts = async {
        loop {
            ticks.tick().await;
            act().await?;
            if once {
                return Ok(Exit::Done);
            }
        }
    };
    tokio::select! {
        stopped = stop => stopped.map(|()| Exit::Done).map_err(Into::into),
        ended = acts => ended,
    }
}

/// Where snapshots come from: `gopcast up`, which knows where its processes serve their metrics; else the table alone.
enum Source {
    Operator(super::Endpoint),
    Table(Box<Watcher>),
}

impl Source {
    async fn of(stack: &Stack) -> Self {
        match stack.operator.as_deref().and_then(super::operator_endpoint) {
            Some(endpoint) => Self::Operator(endpoint),
            None => Self::Table(Box::new(Watcher::new(stack.clients().await.table))),
        }
    }

    async fn look(&mut self) -> anyhow::Result<Snapshot> {
        match self {
            Self::Operator(endpoint) => {
                // Nobody looked for a while: the first question wakes it, and what it answers is old.
                for _ in 0..FRESH_TRIES {
                    let snapshot = ask(endpoint).await?;
                    if snapshot.time >= clock::now().plus_micros(-FRESH_MICROS).rfc3339() {
                        return Ok(snapshot);
                    }
                    tokio::time::sleep(FRESH_PAUSE).await;
                }
                ask(endpoint).await
            }
            Self::Table(watcher) => Ok(watcher.look(&[], clock::now()).await?),
        }
    }
}

async fn ask(endpoint: &super::Endpoint) -> anyhow::Result<Snapshot> {
    let text = scrape::get(endpoint, "/operator/status").await.context("asking `gopcast up`")?;
    Ok(serde_json::from_str(&text)?)
}

fn draw(snapshot: &Snapshot) {
    let colours = std::env::var_os(NO_COLOR).is_none_or(|value| value.is_empty());
    let screen = terminal_size::terminal_size().map_or(PAPER, |(width, height)| Screen {
        width: width.0.into(),
        // The cursor stands below.
        height: usize::from(height.0).saturating_sub(1),
        colours,
    });
    let text = screen::text(snapshot, screen);
    let lines: Vec<_> = text.lines().take(screen.height).collect();
    let mut out = std::io::stdout().lock();
    let body = lines.join(&format!("{CLEAR_LINE}\r\n"));
    // A terminal that is gone ends the loop by its hang-up.
    let _ = write!(out, "{HOME}{body}{CLEAR_LINE}\r\n{CLEAR_BELOW}").and_then(|()| out.flush());
}

/// The terminal's other screen, until dropped.
struct OtherScreen;

impl OtherScreen {
    fn enter() -> Self {
        print!("{ENTER}");
        Self
    }
}

impl Drop for OtherScreen {
    fn drop(&mut self) {
        print!("{LEAVE}");
        let _ = std::io::stdout().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_is_heard_while_looking() {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let mut stop = Some(stop);
        let stopped = async { stopped.await.map_err(std::io::Error::other) };
        let done = each(Duration::from_secs(1), false, stopped, async || {
            stop.take().unwrap().send(()).unwrap();
            // An answer that never comes.
            std::future::pending().await
        });
        assert_eq!(done.await.unwrap(), Exit::Done);
    }
}
