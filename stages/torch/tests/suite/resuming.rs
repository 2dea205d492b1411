//! A training that was stopped and goes on ends with the same bytes as one that was not.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use pipe_contract::Silent;
use pipe_stages::unet::training_schedule::{Round, rounds};
use pipe_torch::checkpoint::Checkpoint;
use pipe_torch::samples::{Pair, Samples};
use pipe_torch::training::{Training, shuffled};
use pipe_torch::weights::{NetworkShape, Weights};

use crate::support::{Listener, Subjects, bytes, device, run, targets, tensor};

fn samples() -> Samples {
    let pairs: Vec<_> = (0..5).map(|index| Pair { subject: index / 2, target: index }).collect();
    Samples {
        images: tensor("people", &[3, 2, 32, 64], 4.0),
        targets: targets("labels", &[5, 3, 32, 64]),
        train: pairs[..4].to_vec(),
        validation: pairs[4..].to_vec(),
        seen: Default::default(),
    }
}

fn plan() -> Vec<Round> {
    rounds(&Round { lr: 1e-3, gamma: 0.9, bce_weight: 0.5, num_epochs: 2, batch_size: 3 }, 2)
}

fn fresh<'a>(samples: &'a Samples, plan: &'a [Round], seed: u64) -> Training<'a> {
    let weights = Weights::fresh(NetworkShape::new("resnet18", 2, 3).unwrap(), seed, device());
    Training::new(weights, samples, plan, shuffled(1), &Silent)
}

fn checkpoint(folder: &Path, identity: &str) -> Checkpoint {
    Checkpoint::new(folder, identity.into(), Duration::ZERO)
}

#[test]
fn from_every_epoch_on_the_rest_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (samples, plan) = (samples(), plan());
    let mut whole = fresh(&samples, &plan, 3);
    // Each epoch by a training of its own that has nothing but the checkpoint and began with other weights.
    let mut parts = fresh(&samples, &plan, 3);
    while !whole.is_done() {
        whole.advance().unwrap();
        parts.advance().unwrap();
        checkpoint(folder.path(), "same").save(&parts).unwrap();
        parts = fresh(&samples, &plan, 99);
        assert!(checkpoint(folder.path(), "same").resume(&mut parts));
        assert_eq!(parts.state.rows, whole.state.rows);
    }
    assert!(parts.is_done());
    let end = |training: &Training<'_>| training.weights.named(training.state.overall.weights.as_ref().unwrap());
    for ((name, ours), (_, theirs)) in end(&whole).iter().zip(end(&parts)) {
        assert!(ours.equal(&theirs), "{name} differs after resuming");
    }
}

#[test]
fn a_round_that_diverges_keeps_the_weights_it_began_with() {
    let samples = samples();
    let mut plan = plan();
    // Above the greatest single-precision number: the first step makes every weight infinite.
    plan[1].lr = 1e39;
    let mut training = fresh(&samples, &plan, 3);
    training.advance().unwrap();
    training.advance().unwrap();
    let good = training.weights.snapshot();
    training.advance().unwrap();
    training.advance().unwrap();
    assert!(training.is_done() && training.state.rows[2..].iter().all(|row| !row.validation.loss.is_finite()));
    let now = training.weights.snapshot();
    let kept = training.state.overall.weights.as_ref().unwrap();
    let named = [&good, &now, kept].map(|snapshot| training.weights.named(snapshot));
    for (((name, good), (_, now)), (_, kept)) in named[0].iter().zip(&named[1]).zip(&named[2]) {
        assert!(now.equal(good), "{name} is not what the round began with");
        assert!(kept.equal(good), "{name} of the model is not the first round's");
    }
}

#[test]
fn what_does_not_fit_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (samples, plan) = (samples(), plan());
    let mut training = fresh(&samples, &plan, 3);
    assert!(!checkpoint(folder.path(), "same").resume(&mut training));
    checkpoint(folder.path(), "same").save(&training).unwrap();
    assert!(!checkpoint(folder.path(), "another build").resume(&mut training));
    assert!(checkpoint(folder.path(), "same").resume(&mut training));
    let path = folder.path().join("training.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(!checkpoint(folder.path(), "same").resume(&mut training));
}

#[test]
fn a_stopped_stage_goes_on_and_gives_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = Subjects::new(folder.path(), 3, 1);
    let params = [("epochs", 1.into()), ("rounds", 3.into())];
    let whole = subjects.training(&folder.path().join("whole"), &params);
    run(&whole, &Silent).unwrap();
    let mut parts = subjects.training(&folder.path().join("parts"), &params);
    parts.checkpoint = Some(folder.path().join("checkpoint"));
    let failure = run(&parts, &Listener::cancelling(2)).unwrap_err();
    assert_eq!(failure.message, "cancelled while training");
    assert!(!folder.path().join("parts/model").exists());
    let listener = Listener::default();
    run(&parts, &listener).unwrap();
    assert!(listener.log().iter().any(|line| line.contains("goes on after 2 epochs")), "{:?}", listener.log());
    assert!(bytes(&folder.path().join("whole/model")) == bytes(&folder.path().join("parts/model")));
}
