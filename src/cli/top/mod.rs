//! `camelpost top`: what a running daemon does, live in the terminal. What is shown is computed in
//! `state` and `tables`, painted in `draw`; here are the options and the loop that joins them with
//! the daemon (`feed`), the keys (`input`) and the terminal (`screen`).

mod detail;
mod draw;
mod feed;
mod figures;
mod heard;
mod input;
mod once;
mod screen;
mod state;
mod tables;
mod totals;

#[cfg(test)]
mod fixture;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use ratatui::crossterm::event;

use self::feed::Feed;
use self::heard::{Event, Farewell};
use self::input::{Action, action};
use self::state::State;
use super::control::{ControlOption, NO_DAEMON, STATUSES};

pub use self::screen::Screen;

const USAGE: u8 = 2;

/// Seconds between two looks; a supervisor is not to be asked without pause.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "give seconds, such as 2 or 0.5".to_owned())?;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err("give from 0.1 to 3600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[derive(Debug, Args)]
#[command(after_help = format!("\
Keys: q quit; Tab, 1, 2, 3 view (plugins, workers, sessions); j, k, PgDn, PgUp, g, G move; s, S \
sort by the next or previous column, r the other way round; i of the last interval or since the \
daemon's start; p pause.\n\n\
docs/top.md says what the columns are.\n\n{STATUSES}"))]
pub(super) struct TopArgs {
    #[command(flatten)]
    place: ControlOption,

    /// Look this often.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval, allow_negative_numbers = true)]
    interval: Duration,

    /// Print one frame as plain text, counted since the daemon's start, and end. Needs no terminal.
    #[arg(long)]
    once: bool,
}

pub(super) fn top(args: &TopArgs) -> ExitCode {
    if args.once {
        return once(args);
    }
    if let Some(problem) = no_terminal() {
        eprintln!(
            "camelpost: top needs a terminal, and {problem}; --once prints one frame as text"
        );
        return ExitCode::from(USAGE);
    }
    // A daemon that is not there at the start is a mistake; one that goes away later may come back.
    let mut feed = Feed::new(&args.place, args.interval);
    let first = feed.look(true);
    if let Err(problem) = &first.status {
        eprintln!("camelpost: {problem}");
        return ExitCode::from(NO_DAEMON);
    }
    let mut state = State::new();
    state.heard(first);
    match live(state, feed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // What does not work may be the very terminal that this goes to.
            let _ = writeln!(io::stderr(), "camelpost: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn once(args: &TopArgs) -> ExitCode {
    let heard = Feed::new(&args.place, args.interval).look(false);
    let status = match heard.status {
        Ok(status) => status,
        Err(problem) => {
            eprintln!("camelpost: {problem}");
            return ExitCode::from(NO_DAEMON);
        }
    };
    super::control::print(&once::text(status, once::width()))
}

fn no_terminal() -> Option<&'static str> {
    if !io::stdout().is_terminal() {
        return Some("standard output is none");
    }
    if !io::stdin().is_terminal() {
        return Some("standard input is none");
    }
    match std::env::var_os("TERM") {
        None => Some("the variable TERM names none"),
        Some(term) if term.is_empty() || term == "dumb" => Some("the variable TERM names none"),
        Some(_) => None,
    }
}

/// Until somebody has had enough. The terminal is as it was before when this returns.
fn live(mut state: State, feed: Feed) -> Result<(), String> {
    let (sender, events) = channel();
    watch_signals(sender.clone()).map_err(|error| format!("cannot handle signals: {error}"))?;
    let broken = |error: io::Error| format!("the terminal does not work: {error}");
    let mut screen = Screen::open().map_err(broken)?;
    read_keys(sender.clone());
    let feed = feed.start(sender);
    loop {
        screen
            .draw(|frame| draw::frame(frame, &mut state))
            .map_err(broken)?;
        // Several keys at once, as from a terminal that repeats them, are drawn once.
        let mut next = Some(wait(&events)?);
        while let Some(event) = next {
            match event {
                Event::Key(key) => match action(key) {
                    Some(Action::Quit) => return Ok(()),
                    Some(action) => state.act(action),
                    None => {}
                },
                Event::Resized => {}
                Event::Heard(heard) => state.heard(*heard),
                Event::Told => return Ok(()),
                Event::Lost(problem) => return Err(problem),
            }
            next = events.try_recv().ok();
        }
        feed.want_sessions(state.shows_sessions());
    }
}

fn wait(events: &Receiver<Event>) -> Result<Event, String> {
    events
        .recv()
        .map_err(|_| "nothing more can happen".to_owned())
}

fn read_keys(events: Sender<Event>) {
    thread::spawn(move || {
        let _farewell = Farewell(events.clone(), "the terminal's input has ended");
        loop {
            let event = match event::read() {
                Ok(event::Event::Key(key)) => Event::Key(key),
                Ok(event::Event::Resize(..)) => Event::Resized,
                Ok(_) => continue,
                Err(error) => Event::Lost(format!("cannot read from the terminal: {error}")),
            };
            let last = matches!(event, Event::Lost(_));
            if events.send(event).is_err() || last {
                return;
            }
        }
    });
}

/// From here on these signals end the loop, not the process.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut terminate, mut interrupt, mut hang_up, mut quit) = runtime.block_on(async {
        io::Result::Ok((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ))
    })?;
    thread::spawn(move || {
        let _farewell = Farewell(events.clone(), "signals are no more heard");
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {}
                _ = quit.recv() => {}
            }
        });
        let _ = events.send(Event::Told);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_of_seconds_within_reason() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "soon", "NaN", "inf", "1e9"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
