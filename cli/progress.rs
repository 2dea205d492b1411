//! Shows a run while it goes on. Chooses the view, and owns the clock, the thread that redraws, and the lines that it left on
//! the terminal: they are gone when this is dropped, however the run ended.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipe_contract::Registry;
use pipe_engine::event::Event;
use pipe_engine::plan::{Amounts, Plan};
use signal_hook::consts::SIGCONT;

use crate::block::Block;
use crate::printer;
use crate::view::live::Live;
use crate::view::plain::Plain;
use crate::view::run_state::RunState;

/// How often the terminal is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// How the user wants to see a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// The events themselves.
    pub json: bool,
    /// Lines, on a terminal too.
    pub plain: bool,
    /// Lines, for every instance.
    pub verbose: bool,
}

/// Shows the events of one run.
pub struct ProgressDisplay {
    screen: Arc<Screen>,
    ticker: Option<JoinHandle<()>>,
}

/// What the thread of the run and the one that redraws share.
struct Screen {
    clock: Instant,
    shown: Mutex<Shown>,
    is_over: AtomicBool,
    /// Set when the process goes on after it was suspended.
    resumed: Arc<AtomicBool>,
}

enum Shown {
    Live(Box<Live>, Block),
    Plain(Box<Plain>),
    Json,
}

impl ProgressDisplay {
    /// A view of a run of `plan` on a machine with these capacities.
    pub fn new(plan: &Arc<Plan>, registry: &Registry, capacities: Amounts, style: Style) -> Self {
        let state = || RunState::new(plan.clone(), registry, capacities);
        let shown = if style.json {
            Shown::Json
        } else if style.plain || style.verbose || !may_redraw() {
            Shown::Plain(Box::new(Plain::new(state(), style.verbose)))
        } else {
            Shown::Live(Box::new(Live::new(state())), Block::new(printer::draw))
        };
        let screen = Arc::new(Screen {
            clock: Instant::now(),
            is_over: AtomicBool::new(false),
            resumed: Arc::default(),
            shown: Mutex::new(shown),
        });
        let ticker = if style.json { None } else { start_ticker(&screen) };
        Self { screen, ticker }
    }

    /// Shows an event.
    pub fn take(&self, event: &Event) {
        self.screen.take(event);
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.screen.is_over.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // If it panicked, it redraws no more either.
            let _ = ticker.join();
        }
        if let Shown::Live(_, block) = &mut *self.screen.lock() {
            block.erase();
        }
    }
}

/// Whether stderr is a terminal that is read by a user now, and whose lines can be redrawn.
fn may_redraw() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb && !["CI", "PIPE_LOG"].into_iter().any(is_set)
}

/// Without it nothing is shown between events; the run goes on all the same.
fn start_ticker(screen: &Arc<Screen>) -> Option<JoinHandle<()>> {
    let _ = signal_hook::flag::register(SIGCONT, screen.resumed.clone());
    let screen = screen.clone();
    let tick = move || {
        while !screen.is_over.load(Ordering::Relaxed) {
            thread::park_timeout(TICK);
            screen.tick();
        }
    };
    thread::Builder::new().name("progress".into()).spawn(tick).ok()
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &Event) {
        let now = self.clock.elapsed();
        match &mut *self.lock() {
            Shown::Live(live, block) => {
                let lines = live.take(event, now, printer::terminal_size());
                if !lines.is_empty() {
                    self.draw(live, block, &lines, now);
                }
            }
            Shown::Plain(plain) => plain.take(event, now).iter().for_each(|line| printer::note(line)),
            Shown::Json => match serde_json::to_string(event) {
                Ok(line) => printer::data(&format!("{line}\n")),
                Err(error) => printer::note(&format!("an event could not be written as JSON: {error}")),
            },
        }
    }

    fn draw(&self, live: &mut Live, block: &Block, above: &[String], now: Duration) {
        if self.resumed.swap(false, Ordering::Relaxed) {
            block.forget();
        }
        let size = printer::terminal_size();
        block.draw(above, live.frame(now, size), size);
    }

    fn tick(&self) {
        let mut shown = self.lock();
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let now = self.clock.elapsed();
        match &mut *shown {
            Shown::Live(live, block) => self.draw(live, block, &[], now),
            Shown::Plain(plain) => plain.tick(now).iter().for_each(|line| printer::note(line)),
            Shown::Json => {}
        }
    }
}
