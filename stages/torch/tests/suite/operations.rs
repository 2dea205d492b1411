//! The network's operations on the processor against those of libtorch: results and gradients.

use pipe_stages::unet::declarations::Precision;
use pipe_torch::draws;
use pipe_torch::kernels::{EPSILON, MOMENTUM, Manner, NormVectors, Then, convolve, join, normalise};
use tch::{Kind, Tensor};

const SAME: Manner = Manner { then: Then::Nothing, precision: Precision::F32 };
const RELU: Manner = Manner { then: Then::Relu, precision: Precision::F32 };

fn tensor(name: &str, shape: &[i64], kind: Kind) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let numbers = draws::uniform(&mut draws::stream(3, name), count, 1.0);
    Tensor::from_slice(&numbers).view(shape).to_kind(kind).set_requires_grad(true)
}

/// Results and gradients of both are the same up to a share of their size.
fn agree(what: &str, inputs: &[&Tensor], tolerance: f64, ours: impl Fn() -> Tensor, theirs: impl Fn() -> Tensor) {
    let all = |call: &dyn Fn() -> Tensor| {
        let found = call();
        let slope = tensor("slope", &found.size(), found.kind()).detach();
        let mut all = Tensor::run_backward(&[(&found * slope).sum(found.kind())], inputs, false, false);
        all.insert(0, found);
        all
    };
    for (index, (ours, theirs)) in all(&ours).iter().zip(&all(&theirs)).enumerate() {
        assert_eq!(ours.size(), theirs.size(), "{what}, {index}");
        let size = theirs.abs().max().double_value(&[]);
        let off = (ours - theirs).abs().max().double_value(&[]) / size;
        assert!(off <= tolerance, "{what}, {index} (0 is the result, then gradients): off by {off:e}");
    }
}

#[test]
fn convolutions_and_their_gradients_are_those_of_libtorch() {
    // One small sample, several tiles of pixels, strides, windows that leave the image, few channels.
    for (samples, inputs, outputs, height, window, stride) in [
        (1, 32, 16, 4, 3, 1),
        (1, 16, 32, 5, 3, 2),
        (2, 16, 24, 40, 3, 1),
        (3, 7, 16, 24, 7, 2),
        (2, 16, 32, 9, 3, 2),
        (2, 32, 16, 6, 1, 1),
        (2, 16, 32, 6, 1, 2),
        (2, 7, 16, 12, 3, 1),
    ] {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-4)] {
            let x = tensor("x", &[samples, inputs, height, 2 * height], kind);
            let weight = tensor("weight", &[outputs, inputs, window, window], kind);
            let bias = tensor("bias", &[outputs], kind);
            let padding = window / 2;
            let plain = |bias| x.conv2d(&weight, bias, [stride; 2], [padding; 2], [1, 1], 1);
            let what = format!("{samples} x {inputs} to {outputs}, {height}, {window} / {stride}, {kind:?}");
            agree(
                &what,
                &[&x, &weight, &bias],
                tolerance,
                || convolve(&x, &weight, Some(&bias), stride, padding, RELU),
                || plain(Some(&bias)).relu(),
            );
            agree(
                &what,
                &[&x, &weight],
                tolerance,
                || convolve(&x, &weight, None, stride, padding, SAME),
                || plain(None),
            );
        }
    }
}

#[test]
fn a_join_is_enlarging_joining_and_convolving() {
    for (samples, low, high) in [(2, (4, 8), (8, 16)), (1, (2, 3), (3, 5)), (2, (1, 2), (2, 4)), (1, (1, 1), (1, 2))] {
        let x = tensor("x", &[samples, 8, low.0, low.1], Kind::Double);
        let skip = tensor("skip", &[samples, 16, high.0, high.1], Kind::Double);
        let weight = tensor("weight", &[24, 24, 3, 3], Kind::Double);
        let bias = tensor("bias", &[24], Kind::Double);
        agree(
            &format!("{low:?} to {high:?}"),
            &[&x, &skip, &weight, &bias],
            1e-12,
            || join(&x, &skip, &weight, &bias, Precision::F32),
            || {
                let large = x.upsample_bilinear2d([high.0, high.1], true, None, None);
                let joined = Tensor::cat(&[&large, &skip], 1);
                joined.conv2d(&weight, Some(&bias), [1, 1], [1, 1], [1, 1], 1).relu()
            },
        );
    }
}

#[test]
fn a_normalisation_is_that_of_libtorch() {
    let vector = |name, kind| tensor(name, &[16], kind);
    for (kind, tolerance) in [(Kind::Double, 1e-11), (Kind::Float, 1e-4)] {
        // Far from zero, where sums of squares would lose their digits; more pixels than a tile has.
        let x = (tensor("x", &[3, 16, 20, 40], kind) + 10.0).detach().set_requires_grad(true);
        let residual = tensor("residual", &[3, 16, 20, 40], kind);
        let (scale, offset) = (vector("scale", kind), vector("offset", kind));
        let running = || (vector("mean", kind).detach(), vector("variance", kind).detach().abs());
        let (mine, plain) = (running(), running());
        let (given, all) =
            (NormVectors { scale: &scale, offset: &offset, running: None }, [&x, &scale, &offset, &residual]);
        let theirs = |(mean, variance): &(Tensor, Tensor)| {
            x.batch_norm(Some(&scale), Some(&offset), Some(mean), Some(variance), true, MOMENTUM, EPSILON, true)
        };
        agree(
            &format!("{kind:?}"),
            &all,
            tolerance,
            || normalise(&x, NormVectors { running: Some((&mine.0, &mine.1)), ..given }, Some(&residual), Then::Relu),
            || (theirs(&plain) + &residual).relu(),
        );
        for (mine, plain) in [(&mine.0, &plain.0), (&mine.1, &plain.1)] {
            let off = (mine - plain).abs().max().double_value(&[]) / plain.abs().max().double_value(&[]);
            assert!(off < 1e-5, "running statistics are off by {off:e}");
        }
        agree("alone", &all[..3], tolerance, || normalise(&x, given, None, Then::Nothing), || theirs(&running()));
    }
}

#[test]
fn sixteen_bits_are_off_by_their_rounding_and_no_more() {
    let x = tensor("x", &[2, 32, 12, 24], Kind::Float);
    let small = tensor("small", &[2, 16, 6, 12], Kind::Float);
    let weight = tensor("weight", &[16, 48, 3, 3], Kind::Float);
    // So large that no sum is negative: a ReLU would give some numbers no gradient on one side only.
    let bias = (tensor("bias", &[16], Kind::Float) + 100.0).detach().set_requires_grad(true);
    let own = weight.narrow(1, 0, 32).detach().set_requires_grad(true);
    let half = Manner { precision: Precision::Bf16, ..SAME };
    let conv = |manner| convolve(&x, &own, None, 1, 1, manner);
    let joined = |precision| join(&small, &x, &weight, &bias, precision);
    // Numbers are rounded to 1 part in 256; in a sum of hundreds most of that averages out.
    agree("convolve", &[&x, &own], 0.02, || conv(half), || conv(SAME));
    agree("join", &[&small, &x, &weight, &bias], 0.02, || joined(Precision::Bf16), || joined(Precision::F32));
    assert!(!conv(half).equal(&conv(SAME)), "nothing was rounded");
}
