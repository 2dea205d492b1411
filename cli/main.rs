//! `pipe`: runs pipelines of content-hashed stages. Parses options, prints; the engine does the work.

mod absences;
mod args;
mod best_so_far;
mod block;
mod commands;
mod final_report;
mod grouped;
mod libtorch;
mod machine;
mod printer;
mod progress;
mod quantities;
mod shipped;
mod signals;
mod status_report;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use pipe_contract::{Blame, Failure};
use pipe_engine::schema;

use args::{Cli, Invocation, SchemaOf};
use commands::CommandError;
use printer::{BAD, HINT, styled};

fn main() -> ExitCode {
    // This binary also serves as the guard of a run's processes; as such it does not return from this call.
    pipe_engine::exec::serve_if_asked();
    trace_if_asked();
    let code = match dispatch(&Cli::parse().command) {
        Ok(code) => code,
        Err(CommandError::File(diagnostics)) => {
            printer::note(diagnostics.render(printer::colours_wanted()).trim_end());
            diagnostics.blame().exit_code()
        }
        Err(CommandError::Failure(failure)) => {
            printer::prose(&explained(&failure));
            failure.blame.exit_code()
        }
    };
    let lost = code == 0 && printer::has_lost_output();
    ExitCode::from(if lost { Blame::Environment.exit_code() } else { code })
}

fn dispatch(command: &Invocation) -> Result<u8, CommandError> {
    match command {
        Invocation::Run(args) => commands::run::run(args),
        Invocation::Plan(args) => commands::plan::plan(args),
        Invocation::Doctor(args) => commands::doctor::doctor(args),
        Invocation::Why(args) => commands::plan::why(args),
        Invocation::Graph(args) => commands::graph::graph(args),
        Invocation::Status(args) => commands::inspect::status(args),
        Invocation::Log(args) => commands::inspect::log(args),
        Invocation::Path(args) => commands::inspect::path(args),
        Invocation::Show(args) => commands::show::show(args),
        Invocation::Verify(args) => commands::verify::verify(args),
        Invocation::Init(args) => commands::init::init(args),
        Invocation::Stages(args) => catalogue(args.kind.as_deref(), args.markdown),
        Invocation::Schema { of } => {
            match of {
                SchemaOf::Pipeline => printer::data(&schema::json(&commands::registry())),
                SchemaOf::Manifest => printer::data(schema::MANIFEST),
                SchemaOf::Events => printer::data(schema::EVENTS),
                SchemaOf::Provenance => printer::data(schema::PROVENANCE),
            }
            Ok(0)
        }
        Invocation::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "pipe", &mut std::io::stdout());
            Ok(0)
        }
    }
}

fn catalogue(name: Option<&str>, markdown: bool) -> Result<u8, CommandError> {
    let registry = commands::registry();
    match name {
        None if markdown => printer::data(&commands::catalogue::markdown(&registry)),
        None => printer::data(&commands::stages::list(&registry)),
        Some(name) => {
            let Some(kind) = registry.kind(name) else {
                let hint = pipe_engine::diag::nearest(name, registry.kinds().map(|kind| kind.name));
                let failure = Failure::input(format!("there is no stage kind `{name}`"));
                return Err(CommandError::Failure(match hint {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None => failure.hint("`pipe stages` lists them"),
                }));
            };
            printer::data(&match markdown {
                true => commands::catalogue::kind(kind),
                false => commands::stages::describe(kind),
            });
        }
    }
    Ok(0)
}

/// A failure as text for the user: what, where, what to do.
fn explained(failure: &Failure) -> String {
    let mut text = format!("{} {failure}", styled(BAD, "error:"));
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("\n{} {hint}", styled(HINT, "hint:")));
    }
    if failure.blame == Blame::Internal {
        text.push_str("\nthis is a defect of pipe, not of your pipeline: please report it with the message above");
    }
    text
}

/// `PIPE_LOG=debug` shows the engine's trace on stderr.
fn trace_if_asked() {
    if let Ok(filter) = std::env::var("PIPE_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
