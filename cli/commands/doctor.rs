//! `pipe doctor`: what a run would need of this machine and of others, looked at before hours are spent. Runs nothing of the
//! pipeline and fetches nothing.
//!
//! libtorch and the GPU are not judged from afar: a pipeline of one stage is run in a folder of its own, by the way of every
//! other stage, and computes something on the device that a training would get.

use std::path::Path;
use std::time::Instant;

use fs_err as fs;
use pipe_contract::{Failure, Registry, Runs};
use pipe_engine::plan::{Plan, Work};
use pipe_engine::run::{self, Places, Preflight, RunOptions, StagePreflight, Stop};

use super::{CommandError, plan_options, planned, registry, run_options, selection};
use crate::args;
use crate::printer::{self, BAD, CARE, DIM, GOOD, HINT, styled};
use crate::quantities;

/// The pipeline that computes something on the device that a training would get.
const DEVICE: &str = "\
pipe: 1
pipeline: doctor
stages:
  device:
    uses: unet/device
    resources: [{ gpu: 1, cpu: 1 }, { cpu: 1 }]
results:
  device.txt: $device.device
";

/// Looks at everything; the exit code is that of the worst that was found.
pub fn doctor(args: &args::DoctorArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let mut options = run_options(&args.pipeline, &args.place, registry.clone())?;
    options.selection = selection(&args.selection);
    let mut findings = Findings::default();
    findings.good(&machine(&options));
    if uses_worker(&plan, &registry) {
        findings.take(device(args, &options));
    }
    let preflight = run::preflight(&plan, &options)?;
    for stage in &preflight.stages {
        findings.stage(&plan.stages[stage.stage.index()].name, stage);
    }
    findings.disk(&plan, &options, &preflight);
    let kept = plan.refused_results().len();
    if kept > 0 {
        let results = quantities::count(kept, "result");
        findings
            .care(&format!("{results} would stay in the restricted store; `pipe plan` lists them with the reasons"));
    }
    printer::report(&findings.conclusion(&preflight));
    Ok(findings.code)
}

/// Prints what was found as it is found, and keeps the worst.
#[derive(Default)]
struct Findings {
    code: u8,
    faults: usize,
}

impl Findings {
    fn good(&self, text: &str) {
        printer::report(&format!("{} {text}\n", styled(GOOD, "  ok")));
    }

    fn care(&self, text: &str) {
        printer::report(&format!("{} {text}\n", styled(CARE, "note")));
    }

    fn bad(&mut self, what: &str, failure: &Failure) {
        self.code = self.code.max(failure.blame.exit_code());
        self.faults += 1;
        let mut text = format!("{} {what}{failure}\n", styled(BAD, " bad"));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("     {} {hint}\n", styled(HINT, "hint:")));
        }
        printer::report(&text);
    }

    fn take(&mut self, found: Result<String, Failure>) {
        match found {
            Ok(text) => self.good(&text),
            Err(failure) => self.bad("", &failure),
        }
    }

    fn stage(&mut self, name: &str, stage: &StagePreflight) {
        let size = stage.bytes.map(|bytes| format!(", about {}", quantities::bytes(bytes))).unwrap_or_default();
        let label = match stage.open {
            0 => format!("{name}: "),
            open => format!("{name} ({open} to do{size}): "),
        };
        match (&stage.failure, &stage.probe) {
            (Some(failure), _) => self.bad(&label, failure),
            (None, Some(probe)) if probe.incomplete => self.care(&format!("{label}{}", probe.found)),
            (None, Some(probe)) => self.good(&format!("{label}{}", probe.found)),
            (None, None) => {}
        }
    }

    fn disk(&mut self, plan: &Plan, options: &RunOptions, found: &Preflight) {
        self.take(room(found.known_bytes(), found.free, &options.places.cache));
        let sizeless = |stage: &&StagePreflight| stage.bytes.is_none() && stage.failure.is_none();
        let name = |stage: &StagePreflight| plan.stages[stage.stage.index()].name.as_str();
        let unknown: Vec<&str> = found.stages.iter().filter(sizeless).map(name).collect();
        if !unknown.is_empty() {
            let text =
                format!("     not counted, because their sizes are not known before they run: {}", unknown.join(", "));
            printer::report(&format!("{}\n", styled(DIM, &text)));
        }
    }

    fn conclusion(&self, found: &Preflight) -> String {
        let open: usize = found.stages.iter().map(|stage| stage.open).sum();
        match (self.faults, open) {
            (0, 0) => "nothing would run: every output is cached\n".to_owned(),
            (0, _) => format!("nothing keeps a run from its {}\n", quantities::count(open, "instance")),
            (faults, _) => format!("{} to mend before a run\n", quantities::count(faults, "fault")),
        }
    }
}

/// Whether so many bytes fit where the cache is.
fn room(come: u64, free: u64, cache: &Path) -> Result<String, Failure> {
    let (will, are) = (quantities::bytes(come), quantities::bytes(free));
    if come <= free {
        return Ok(format!("disk: about {will} will come, and {are} are free in `{}`", cache.display()));
    }
    let message =
        format!("about {will} will come, and only {are} are free where the cache is, in `{}`", cache.display());
    Err(Failure::environment(message)
        .hint("free some space, or name a cache on a larger disk with `--cache` or PIPE_CACHE"))
}

fn machine(options: &RunOptions) -> String {
    let capacities = &options.capacities;
    let gpus = match capacities.gpus.len() {
        0 => "no GPU".to_owned(),
        number => quantities::count(number, "GPU"),
    };
    format!(
        "machine: pipe {}, {}, {} of memory, {gpus}",
        env!("CARGO_PKG_VERSION"),
        quantities::count(capacities.cpu as usize, "processor"),
        quantities::bytes(capacities.mem),
    )
}

fn uses_worker(plan: &Plan, registry: &Registry) -> bool {
    let kinds = plan.stages.iter().filter_map(|stage| match &stage.work {
        Work::Kind(name) => registry.kind(name),
        Work::Command(_) => None,
    });
    kinds.into_iter().any(|kind| kind.runs != Runs::Thread)
}

/// Runs [`DEVICE`] and gives its line.
fn device(args: &args::DoctorArgs, options: &RunOptions) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::environment(format!("no folder for temporary files can be made: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let file = folder.path().join("doctor.yaml");
    fs::write(&file, DEVICE).map_err(|error| Failure::io("write", &file, &error))?;
    let pipeline = args::Pipeline { file: file.clone(), profile: None, set: Vec::new() };
    let plan = pipe_engine::plan::plan(&file, &plan_options(&pipeline, &args.place), &options.exec.registry)
        .map_err(|diagnostics| Failure::internal(diagnostics.render(false)))?;
    let places = Places { cache: folder.path().join("cache"), state: folder.path().join("state") };
    let options = RunOptions::new(places, options.exec.clone(), options.capacities.clone());
    let started = Instant::now();
    let summary = run::run(&plan, &options, &mut |_| {}, &Stop::new())?;
    if let Some(failed) = summary.failed.into_iter().next() {
        return Err(failed.failure);
    }
    let line = summary.results.folder.join("device.txt");
    let line = fs::read_to_string(&line).map_err(|error| Failure::io("read", &line, &error))?;
    Ok(format!("{}, ready after {}", line.trim_end(), quantities::duration(started.elapsed())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_a_fault_with_both_numbers() {
        let cache = Path::new("/cache");
        assert_eq!(room(2048, 2048, cache).unwrap(), "disk: about 2.0 KiB will come, and 2.0 KiB are free in `/cache`");
        let failure = room(3 << 30, 1 << 30, cache).unwrap_err();
        assert_eq!(
            failure.message,
            "about 3.0 GiB will come, and only 1.0 GiB are free where the cache is, in `/cache`"
        );
        assert_eq!(failure.blame.exit_code(), 3);
    }
}
