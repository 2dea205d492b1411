//! Whole runs in memory: a seeded simulation replaces `run` and the executors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use pipe_contract::Coordinates;
use proptest::prelude::*;

use super::*;
use crate::ids::{GatherId, InstanceId, StageId};
use crate::plan::{
    Amounts, GatheredCell, Instance, Link, Plan, ProjectFile, Published, Source, SourcePlace, Stage, Work,
};

/// What one instance of a test plan is.
#[derive(Clone, Debug, Default)]
struct Spec {
    /// Required single inputs.
    needs: Vec<u32>,
    /// Optional single inputs.
    takes: Vec<u32>,
    /// An index into the plan's shared gathers.
    gathers: Vec<usize>,
    amounts: Amounts,
}

fn link(instance: u32) -> Link {
    Link::Output { instance: InstanceId(instance), port: "out".into(), entry: None }
}

fn plan_of(specs: &[Spec], gathers: &[Vec<u32>]) -> Plan {
    let cells = |members: &Vec<u32>| -> Vec<GatheredCell> {
        members.iter().map(|id| ([("i", id.to_string())].into_iter().collect(), link(*id))).collect()
    };
    let mut plan = Plan {
        pipeline: "test".into(),
        profile: None,
        about: String::new(),
        file: PathBuf::from("/p/pipeline.yaml"),
        folder: PathBuf::from("/p"),
        seed: 0,
        simulated: false,
        params: BTreeMap::new(),
        set: BTreeMap::new(),
        stages: Vec::new(),
        instances: Vec::new(),
        gathers: gathers.iter().map(cells).collect(),
        results: Vec::new(),
        claims: Vec::new(),
        releases: Vec::new(),
    };
    for (index, spec) in specs.iter().enumerate() {
        let index = index as u32;
        plan.stages.push(Stage {
            name: format!("s{index}"),
            work: Work::Kind("test/kind".into()),
            axes: Vec::new(),
            instances: index..index + 1,
            amounts: spec.amounts.clone(),
            retry: 0,
            timeout: None,
            accepts_absent: Vec::new(),
            coverage: BTreeMap::new(),
            credential: None,
            temporary: false,
            place: SourcePlace { file: PathBuf::from("/p/pipeline.yaml"), line: 1, column: 1 },
        });
        let mut inputs = BTreeMap::new();
        for (port, id) in spec.needs.iter().enumerate() {
            inputs.insert(format!("need{port}"), Source::One(link(*id)));
        }
        for (port, id) in spec.takes.iter().enumerate() {
            inputs.insert(format!("take{port}"), Source::One(link(*id)));
        }
        for (port, gather) in spec.gathers.iter().enumerate() {
            inputs.insert(format!("many{port}"), Source::Many(GatherId(*gather as u32)));
        }
        plan.instances.push(Instance {
            stage: StageId(index),
            at: Coordinates::none(),
            params: BTreeMap::new(),
            inputs,
            seed: None,
            restricted: BTreeSet::new(),
        });
    }
    plan
}

fn machine(cpu: u32) -> Capacities {
    Capacities { cpu, gpus: vec![3, 5], mem: 8, net: 2 }
}

fn core(specs: &[Spec], gathers: &[Vec<u32>], capacities: Capacities, options: Options) -> Core {
    Core::new(&plan_of(specs, gathers), capacities, options).expect("the amounts fit")
}

/// A chain `0 <- 1 <- 2 ...`, one processor each.
fn chain(length: u32) -> Vec<Spec> {
    (0..length)
        .map(|index| Spec {
            needs: if index == 0 { Vec::new() } else { vec![index - 1] },
            amounts: Amounts { cpu: 1, ..Amounts::default() },
            ..Spec::default()
        })
        .collect()
}

const A: InstanceId = InstanceId(0);
const B: InstanceId = InstanceId(1);
const C: InstanceId = InstanceId(2);

#[test]
fn an_upstream_rerun_leaves_what_follows_to_be_checked() {
    let mut core = core(&chain(2), &[], machine(1), Options::default());
    assert_eq!(core.next_check(), Some(A));
    assert_eq!(core.next_check(), None);
    core.must_run(A);
    assert_eq!(core.next_start().map(|(id, grant)| (id, grant.cpu)), Some((A, 1)));
    assert_eq!(core.state(B), State::Waiting);
    core.end(A, Ending::Ran);
    assert_eq!(core.next_check(), Some(B));
    core.end(B, Ending::Hit);
    assert!(core.is_done());
    core.check().expect("consistent");
}

#[test]
fn a_failure_skips_what_needs_it_and_names_the_root() {
    let mut core = core(&chain(3), &[], machine(1), Options::default());
    core.next_check();
    core.must_run(A);
    core.next_start();
    core.end(A, Ending::Failed);
    let skipped = Because::Failed(A);
    assert_eq!(core.settled(), [(B, skipped), (C, skipped)]);
    assert!(core.is_done());
    core.check().expect("consistent");
}

#[test]
fn readers_of_an_absent_input_are_checked_like_others() {
    let mut specs = chain(2);
    specs.push(Spec { gathers: vec![0], ..Spec::default() });
    let mut core = core(&specs, &[vec![0, 1]], machine(1), Options::default());
    core.next_check();
    core.end(A, Ending::Absent);
    assert_eq!((core.next_check(), core.next_check()), (Some(B), None));
    core.end(B, Ending::Absent);
    assert_eq!(core.settled(), []);
    assert_eq!(core.next_check(), Some(C));
    core.check().expect("consistent");
}

#[test]
fn a_gather_of_project_files_only_is_not_waited_for() {
    let mut plan = plan_of(&chain(1), &[]);
    let file = (Coordinates::none(), Link::File(Arc::new(ProjectFile::new("/p/x".into()))));
    plan.gathers.push(vec![file]);
    plan.instances[0].inputs.insert("many".into(), Source::Many(GatherId(0)));
    let mut core = Core::new(&plan, machine(1), Options::default()).expect("fits");
    assert_eq!(core.next_check(), Some(A));
}

#[test]
fn the_longest_way_to_the_end_goes_first() {
    // 0 is long but leads nowhere; 1 leads to 2.
    let mut specs = chain(1);
    specs.extend([Spec::default(), Spec { needs: vec![1], ..Spec::default() }]);
    let options = Options { durations: vec![Some(3.0), None, Some(2.5), Some(f64::NAN)], ..Options::default() };
    let mut core = core(&specs, &[], machine(1), options);
    assert_eq!(core.remaining(B), 3.5);
    assert_eq!(core.next_check(), Some(B));
    assert_eq!(core.next_check(), Some(A));
}

#[test]
fn a_wide_stage_is_not_starved_and_gpu_waiters_block_no_other_stage() {
    let cpu = |cpu| Spec { amounts: Amounts { cpu, ..Amounts::default() }, ..Spec::default() };
    let gpu = || Spec { amounts: Amounts { cpu: 1, gpu: 2, ..Amounts::default() }, ..Spec::default() };
    let specs = [cpu(1), cpu(2), cpu(1), gpu(), gpu()];
    let durations = [9.0, 8.0, 7.0, 10.0, 9.5].map(Some).to_vec();
    let mut core = core(&specs, &[], machine(3), Options { durations, ..Options::default() });
    while let Some(id) = core.next_check() {
        core.must_run(id);
    }
    let (first, grant) = core.next_start().expect("all GPUs are free");
    assert_eq!((first, grant.gpus), (InstanceId(3), vec![3, 5]));
    // The second GPU stage waits for GPUs; processors go on to others.
    assert_eq!(core.next_start().map(|(id, _)| id), Some(A));
    // One processor is free: the stage that needs two is next in line and reserves it.
    assert_eq!(core.next_start(), None);
    core.end(A, Ending::Ran);
    assert_eq!(core.next_start().map(|(id, _)| id), Some(B));
    core.check().expect("consistent");
}

#[test]
fn what_can_never_fit_is_refused_with_both_numbers_and_cpu_is_clipped() {
    let spec = |amounts| [Spec { amounts, ..Spec::default() }];
    let wide = plan_of(&spec(Amounts { cpu: 64, ..Amounts::default() }), &[]);
    let mut core = Core::new(&wide, machine(2), Options::default()).expect("clipped");
    core.next_check();
    core.must_run(A);
    assert_eq!(core.next_start().expect("starts").1.cpu, 2);
    let large = plan_of(&spec(Amounts { mem: 9, ..Amounts::default() }), &[]);
    let refusal = Core::new(&large, machine(2), Options::default()).err().expect("9 > 8");
    assert_eq!(refusal.message, "stage `s0` needs 9 B of memory, this machine has 8 B");
}

#[test]
fn a_stop_skips_the_rest_and_ignores_late_decisions() {
    let mut core = core(&chain(2), &[], machine(1), Options::default());
    core.next_check();
    core.stop();
    core.must_run(A);
    core.end(A, Ending::Failed);
    let skipped = Because::Stopped;
    assert_eq!(core.settled(), [(A, skipped), (B, skipped)]);
    assert!(core.is_done());
    core.check().expect("consistent");
}

#[test]
fn a_retry_gives_its_amounts_back_meanwhile() {
    let mut core = core(&chain(1), &[], machine(1), Options::default());
    core.next_check();
    core.must_run(A);
    core.next_start();
    core.set_aside(A, Aside::BeforeRetry);
    assert_eq!((core.state(A), core.counts().before_retry), (State::Aside(Aside::BeforeRetry), 1));
    assert_eq!((core.next_check(), core.next_start()), (None, None));
    core.check().expect("consistent");
    core.must_run(A);
    assert!(core.next_start().is_some());
}

#[test]
fn what_is_reopened_is_waited_for_again() {
    // 0 <- gather <- 1; 0 <- 2 directly.
    let one = || Amounts { cpu: 1, ..Amounts::default() };
    let specs = [
        Spec { amounts: one(), ..Spec::default() },
        Spec { gathers: vec![0], amounts: one(), ..Spec::default() },
        Spec { needs: vec![0], amounts: one(), ..Spec::default() },
    ];
    for again in [Ending::Ran, Ending::Hit, Ending::Failed] {
        let mut core = core(&specs, &[vec![0]], machine(1), Options::default());
        core.next_check();
        core.end(A, Ending::Hit);
        assert_eq!((core.next_check(), core.next_check()), (Some(B), Some(C)));
        core.must_run(B);
        core.must_run(C);
        assert_eq!(core.next_start().map(|(id, _)| id), Some(B));
        // B finds that what A made is damaged.
        let mut readers = core.reopen(A);
        readers.sort();
        assert_eq!(readers, [B, C]);
        core.check().expect("consistent");
        core.wait_again(B);
        assert_eq!(core.state(B), State::Waiting);
        assert_eq!(core.next_check(), Some(A));
        core.must_run(A);
        core.check().expect("consistent");
        // C was queued before: it waits as well when its turn comes.
        let started = core.next_start().map(|(id, _)| id);
        if started == Some(C) {
            core.wait_again(C);
            assert_eq!(core.next_start().map(|(id, _)| id), Some(A));
        }
        core.end(A, again);
        core.check().expect("consistent");
        if started == Some(A) && core.next_start().is_some() {
            core.wait_again(C);
        }
        core.check().expect("consistent");
        if again == Ending::Failed {
            let skipped = State::Ended(Ending::Skipped(Because::Failed(A)));
            assert_eq!((core.state(B), core.state(C)), (skipped, skipped));
            assert!(core.is_done());
        } else {
            assert_eq!((core.state(B), core.state(C)), (State::Checking, State::Checking));
            assert_eq!((core.next_check(), core.next_check(), core.next_check()), (Some(B), Some(C), None));
        }
    }
}

#[test]
fn what_is_left_out_is_taken_as_recorded() {
    let specs = chain(4);
    let wanted = Some(vec![false, false, true, false]);
    let mut core = core(&specs, &[], machine(1), Options { wanted, ..Options::default() });
    assert_eq!(core.next_check(), Some(C));
    core.end(C, Ending::Hit);
    assert!(core.is_done());
    assert_eq!(core.counts().left_out, 3);
    core.check().expect("consistent");
    let plan = plan_of(&specs, &[]);
    assert_eq!(needed_by(&plan, &BTreeSet::from([B])), [true, true, false, false]);
}

#[test]
fn a_change_that_is_not_allowed_is_kept_as_a_defect() {
    let mut core = core(&chain(1), &[], machine(1), Options::default());
    core.end(A, Ending::Hit);
    core.end(A, Ending::Ran);
    assert!(core.defect().is_some());
    assert!(core.check().is_err());
}

#[test]
fn dense_gathers_cost_no_memory_per_pair() {
    // 5,000 readers of the same 5,000 cells: 25 million pairs.
    let producers = 5_000_u32;
    let mut specs = vec![Spec::default(); producers as usize];
    specs.extend((0..producers).map(|_| Spec { gathers: vec![0], ..Spec::default() }));
    let plan = plan_of(&specs, &[(0..producers).collect()]);
    let mut core = Core::new(&plan, machine(2), Options::default()).expect("fits");
    while let Some(id) = core.next_check() {
        core.end(id, Ending::Hit);
    }
    assert_eq!(core.counts().hit, 10_000);
    assert_eq!(core.remaining(A), 2.0);
}

/// How the simulation ends an instance, independent of order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Hit,
    Run,
    Absent,
    Fail,
    RetryThenRun,
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Run),
        2 => Just(Outcome::Hit),
        1 => Just(Outcome::Absent),
        1 => Just(Outcome::Fail),
        1 => Just(Outcome::RetryThenRun),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    specs: Vec<Spec>,
    gathers: Vec<Vec<u32>>,
    outcomes: Vec<Outcome>,
    cpu: u32,
    durations: Vec<Option<f64>>,
}

/// Random graphs: the first half of the instances may be gathered, the second half may gather.
fn cases() -> impl Strategy<Value = Case> {
    let instance = (
        proptest::collection::vec(any::<u32>(), 0..3),
        proptest::collection::vec(any::<u32>(), 0..2),
        proptest::collection::vec(any::<usize>(), 0..2),
        (0_u32..4, 0_u32..3, 0_u64..9, 0_u32..2),
        outcomes(),
        proptest::option::of(0.0..9.0_f64),
    );
    let gathers = proptest::collection::vec(proptest::collection::vec(any::<u32>(), 0..6), 1..4);
    (proptest::collection::vec(instance, 1..40), gathers, 1_u32..5).prop_map(|(rows, gathers, cpu)| {
        let half = rows.len() as u32 / 2;
        let gathers: Vec<Vec<u32>> = gathers
            .into_iter()
            .map(|cells| if half == 0 { Vec::new() } else { cells.into_iter().map(|cell| cell % half).collect() })
            .collect();
        let mut case = Case { specs: Vec::new(), gathers, outcomes: Vec::new(), cpu, durations: Vec::new() };
        for (index, (needs, takes, many, (c, gpu, mem, net), outcome, duration)) in rows.into_iter().enumerate() {
            let index = index as u32;
            let below = |ids: Vec<u32>| ids.into_iter().filter(|_| index > 0).map(|id| id % index.max(1)).collect();
            let many = many.into_iter().filter(|_| index >= half).map(|gather| gather % case.gathers.len()).collect();
            let amounts = Amounts { cpu: c, gpu, mem, net };
            case.specs.push(Spec { needs: below(needs), takes: below(takes), gathers: many, amounts });
            case.outcomes.push(outcome);
            case.durations.push(duration);
        }
        case
    })
}

/// Simulates a run. `seed` decides which of the running instances ends next.
fn simulate(case: &Case, options: Options, stop_after: Option<usize>, seed: u64) -> Vec<Ending> {
    let plan = plan_of(&case.specs, &case.gathers);
    let mut core = Core::new(&plan, machine(case.cpu), options).expect("amounts are within the machine");
    let mut random = seed;
    let mut sample = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut running: Vec<InstanceId> = Vec::new();
    let mut tried = vec![false; case.specs.len()];
    let mut ends = 0;
    while !core.is_done() {
        while let Some(id) = core.next_check() {
            for read in plan.reads(id) {
                assert!(matches!(core.state(read), State::Ended(_)), "{id:?} is checked before {read:?} ended");
            }
            let is_absent = |need: &u32| core.state(InstanceId(*need)) == State::Ended(Ending::Absent);
            let lacks = case.specs[id.index()].needs.iter().any(is_absent);
            match case.outcomes[id.index()] {
                // `run` finds that a required input is absent.
                _ if lacks => core.end(id, Ending::Absent),
                Outcome::Hit => core.end(id, Ending::Hit),
                _ => core.must_run(id),
            }
        }
        while let Some((id, grant)) = core.next_start() {
            assert_eq!(grant.gpus.len(), case.specs[id.index()].amounts.gpu as usize);
            running.push(id);
        }
        core.check().expect("consistent");
        if running.is_empty() {
            assert!(core.is_done() || core.counts().checking > 0, "deadlock: {:?}", core.counts());
            continue;
        }
        let id = running.swap_remove(sample(running.len()));
        ends += 1;
        if sample(2) == 0 {
            core.commit(id);
            if stop_after == Some(ends) {
                core.stop();
            }
            while let Some((id, _)) = core.next_start_during(id) {
                running.push(id);
            }
            core.check().expect("consistent");
        }
        match case.outcomes[id.index()] {
            Outcome::Hit | Outcome::Run => core.end(id, Ending::Ran),
            Outcome::Absent => core.end(id, Ending::Absent),
            Outcome::Fail => core.end(id, Ending::Failed),
            Outcome::RetryThenRun if std::mem::replace(&mut tried[id.index()], true) => core.end(id, Ending::Ran),
            Outcome::RetryThenRun => {
                core.set_aside(id, Aside::KeyLocked);
                core.must_run(id);
            }
        }
        if stop_after == Some(ends) {
            core.stop();
        }
    }
    core.check().expect("consistent");
    plan.ids()
        .map(|id| match core.state(id) {
            State::Ended(ending) => ending,
            state => panic!("{id:?} is {state:?} at the end"),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instance_ends_and_no_order_changes_how(case in cases(), seed in any::<u64>()) {
        let by_path = Options { durations: case.durations.clone(), ..Options::default() };
        let shuffled = Options { shuffle: Some(seed), ..Options::default() };
        let first = simulate(&case, by_path, None, seed);
        prop_assert_eq!(first, simulate(&case, shuffled, None, seed.rotate_left(7)));
    }

    #[test]
    fn a_run_that_fails_fast_or_is_stopped_still_ends(case in cases(), seed in any::<u64>(), after in 1_usize..9) {
        let endings = simulate(&case, Options { fail_fast: true, ..Options::default() }, None, seed);
        let failed = endings.iter().filter(|ending| **ending == Ending::Failed).count();
        let skipped = endings.iter().filter(|ending| matches!(ending, Ending::Skipped(_))).count();
        prop_assert!(failed > 0 || skipped == 0);
        simulate(&case, Options::default(), Some(after), seed);
    }
}

/// `plan_of` with these instances published.
fn published(specs: &[Spec], gathers: &[Vec<u32>], results: &[u32]) -> Plan {
    let mut plan = plan_of(specs, gathers);
    let place = SourcePlace { file: PathBuf::from("/p/pipeline.yaml"), line: 1, column: 1 };
    plan.results.extend(results.iter().map(|id| Published {
        path: format!("{id}.txt"),
        link: link(*id),
        place: place.clone(),
    }));
    plan
}

/// The order in which all instances of a plan start on one processor.
fn starts(plan: &Plan, durations: Vec<Option<f64>>) -> Vec<u32> {
    let mut core = Core::new(plan, machine(1), Options { durations, ..Options::default() }).expect("the amounts fit");
    let mut started = Vec::new();
    while !core.is_done() {
        while let Some(id) = core.next_check() {
            core.must_run(id);
        }
        let (id, _) = core.next_start().expect("something is ready");
        started.push(id.0);
        core.end(id, Ending::Ran);
        core.check().expect("consistent");
    }
    started
}

#[test]
fn during_a_commit_only_what_comes_before_its_readers_starts() {
    // 0 <- 1, 2 <- 3 and 4; the two chains are equally long and longer than 4, and 0, 2, 1, 3 are ahead of it.
    let one = || Spec { amounts: Amounts { cpu: 1, ..Amounts::default() }, ..Spec::default() };
    let after = |id| Spec { needs: vec![id], ..one() };
    let plan = plan_of(&[one(), after(0), one(), after(2), one()], &[]);
    let durations = [5.0, 5.0, 5.0, 5.0, 1.0].into_iter().map(Some).collect();
    let mut core = Core::new(&plan, machine(1), Options { durations, ..Options::default() }).expect("the amounts fit");
    let queue = |core: &mut Core| {
        while let Some(id) = core.next_check() {
            core.must_run(id);
        }
    };
    let started = |start: Option<(InstanceId, Grant)>| start.map(|(id, _)| id.0);
    queue(&mut core);
    assert_eq!(started(core.next_start()), Some(0));
    core.commit(InstanceId(0));
    assert_eq!(core.state(InstanceId(0)), State::Committing);
    assert_eq!(started(core.next_start_during(InstanceId(0))), Some(2), "it is ahead of 1");
    core.end(InstanceId(0), Ending::Ran);
    queue(&mut core);
    core.commit(InstanceId(2));
    assert_eq!(started(core.next_start_during(InstanceId(2))), Some(1), "it is ahead of 3");
    core.end(InstanceId(2), Ending::Ran);
    queue(&mut core);
    core.end(InstanceId(1), Ending::Ran);
    assert_eq!(started(core.next_start()), Some(3));
    core.end(InstanceId(3), Ending::Failed);
    core.check().expect("consistent");
}

#[test]
fn a_reader_that_will_be_ready_is_not_overtaken_during_a_commit() {
    // 0 <- 1 is long, 2 is short: 1 is ahead of 2 although it cannot start yet.
    let one = || Spec { amounts: Amounts { cpu: 1, ..Amounts::default() }, ..Spec::default() };
    let cases = [
        Spec { needs: vec![0], ..one() },
        Spec { gathers: vec![0], ..one() },
        Spec { needs: vec![0], gathers: vec![0], ..one() },
        // Two ports of one instance.
        Spec { needs: vec![0], takes: vec![0], ..one() },
    ];
    for reader in cases {
        let plan = plan_of(&[one(), reader, one()], &[vec![0]]);
        let durations = [5.0, 5.0, 1.0].into_iter().map(Some).collect();
        let mut core =
            Core::new(&plan, machine(1), Options { durations, ..Options::default() }).expect("the amounts fit");
        while let Some(id) = core.next_check() {
            core.must_run(id);
        }
        assert_eq!(core.next_start().map(|(id, _)| id.0), Some(0));
        core.commit(InstanceId(0));
        assert_eq!(core.next_start_during(InstanceId(0)), None);
        core.check().expect("consistent");
    }
}

#[test]
fn what_brings_a_result_with_little_work_starts_before_the_longest_chain() {
    // 0 <- 1 <- 2 is long; 3 <- 4 brings a result, 4 waits for nothing else; 5 is not a result.
    let one = || Spec { amounts: Amounts { cpu: 1, ..Amounts::default() }, ..Spec::default() };
    let mut specs = chain(3);
    specs.extend([one(), Spec { needs: vec![3], ..one() }, one()]);
    let plan = published(&specs, &[], &[2, 4]);
    let known = |short: f64| [20.0, 20.0, 20.0, short, short, 0.1].into_iter().map(Some).collect::<Vec<_>>();
    assert_eq!(starts(&plan, known(1.0)), [3, 4, 0, 1, 2, 5]);
    assert_eq!(starts(&plan, known(7.0)), [0, 1, 2, 3, 4, 5], "fourteen seconds are not little beside sixty");
}

#[test]
fn a_result_that_waits_for_others_does_not_pull_its_inputs_forward() {
    // 2 is a result of 0 and 1; 3 <- 4 is longer. 2 itself goes first when it can.
    let one = || Spec { amounts: Amounts { cpu: 1, ..Amounts::default() }, ..Spec::default() };
    let specs = [one(), one(), Spec { needs: vec![0, 1], ..one() }, one(), Spec { needs: vec![3], ..one() }];
    let plan = published(&specs, &[], &[2]);
    let durations = [1.0, 1.0, 0.1, 9.0, 9.0].into_iter().map(Some).collect();
    assert_eq!(starts(&plan, durations), [3, 4, 0, 1, 2]);
    assert_eq!(starts(&plan, Vec::new()), [0, 1, 2, 3, 4], "nothing is known in the first run");
}

/// The estimate when nothing but `ended` has ended and nothing runs.
fn rest(forecast: &Forecast, ended: &[u32]) -> Option<Estimate> {
    forecast.rest(|id| !ended.contains(&id.0), &BTreeMap::new())
}

fn about(seconds: f64) -> Option<Estimate> {
    Some(Estimate { seconds, is_complete: true })
}

#[test]
fn the_rest_takes_as_long_as_its_longest_chain_or_as_its_work_by_slots() {
    let two = machine(2).amounts();
    // 0 <- 1, and four that need nothing.
    let mut specs = chain(2);
    specs.extend(vec![Spec { amounts: Amounts { cpu: 1, ..Amounts::default() }, ..Spec::default() }; 4]);
    let with = |seconds: [f64; 6]| {
        Forecast::new(&plan_of(&specs, &[]), &two, seconds.into_iter().map(Some).collect::<Vec<_>>())
    };
    assert_eq!(rest(&with([9.0, 9.0, 1.0, 1.0, 1.0, 1.0]), &[]), about(18.0));
    assert_eq!(rest(&with([9.0, 9.0, 5.0, 5.0, 5.0, 5.0]), &[]), about(19.0));
    assert_eq!(rest(&with([9.0, 9.0, 5.0, 5.0, 5.0, 5.0]), &[0, 2, 3]), about(9.5));
    assert_eq!(rest(&with([9.0, 9.0, 5.0, 5.0, 5.0, 5.0]), &[0, 1, 2, 3, 4, 5]), None);
}

#[test]
fn durations_of_this_run_count_more_than_those_of_earlier_ones() {
    let mut specs = chain(1);
    specs.extend(vec![Spec { amounts: Amounts { cpu: 1, ..Amounts::default() }, ..Spec::default() }; 3]);
    let mut plan = plan_of(&specs, &[]);
    plan.instances.iter_mut().for_each(|instance| instance.stage = StageId(0));
    let one = machine(1).amounts();
    // Nothing is known, then one of the stage.
    let mut forecast = Forecast::new(&plan, &one, Vec::new());
    assert_eq!(rest(&forecast, &[]), None);
    forecast.worked(A, 4.0);
    assert_eq!(rest(&forecast, &[0]), about(12.0));
    // Two are recorded; the stage takes twice as long now.
    let mut forecast = Forecast::new(&plan, &one, vec![Some(2.0), Some(4.0)]);
    assert_eq!(rest(&forecast, &[]), about(12.0));
    forecast.worked(A, 4.0);
    assert_eq!(rest(&forecast, &[0]), about(8.0 + 2.0 * 4.0));
}

#[test]
fn running_ones_are_expected_by_their_reports_and_what_is_unknown_is_said() {
    let mut specs = chain(3);
    specs[2].needs = Vec::new();
    let mut plan = plan_of(&specs, &[]);
    plan.instances[1].stage = StageId(0);
    let forecast = Forecast::new(&plan, &machine(1).amounts(), Vec::new());
    let at_work = |elapsed, share| BTreeMap::from([(A, AtWork { elapsed, share })]);
    assert_eq!(forecast.rest(|_| true, &at_work(5.0, None)), None);
    assert_eq!(forecast.rest(|_| true, &at_work(5.0, Some(0.01))), None);
    // A quarter took 5 s: 15 s are left of it, 20 s are expected of the other one of its stage.
    let rest = forecast.rest(|_| true, &at_work(5.0, Some(0.25)));
    assert_eq!(rest, Some(Estimate { seconds: 35.0, is_complete: false }));
    // Longer than it took before.
    let forecast = Forecast::new(&plan, &machine(1).amounts(), vec![Some(3.0)]);
    let rest = forecast.rest(|id| id == A, &at_work(10.0, None));
    assert_eq!(rest, about(1.0));
}
