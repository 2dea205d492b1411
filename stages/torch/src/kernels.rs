//! The network's operations on the processor (`kernels.cpp`), as functions of tensors with gradients. Channels last in memory.
//!
//! Like the operations of `tch` they panic where libtorch refuses: shapes are the network's own, so that is a fault of the program.

use std::ffi::{c_int, c_void};

use pipe_stages::unet::declarations::Precision;
use tch::Tensor;

use crate::backend::Text;

mod shim {
    use std::ffi::{c_char, c_int, c_void};

    unsafe extern "C" {
        pub fn pipe_convolve(
            x: *const c_void,
            weight: *const c_void,
            bias: *const c_void,
            stride: i64,
            padding: i64,
            relu: c_int,
            half: c_int,
            text: *mut c_char,
            size: usize,
        ) -> *mut c_void;
        pub fn pipe_normalise(
            x: *const c_void,
            scale: *const c_void,
            offset: *const c_void,
            mean: *const c_void,
            variance: *const c_void,
            residual: *const c_void,
            momentum: f64,
            epsilon: f64,
            relu: c_int,
            text: *mut c_char,
            size: usize,
        ) -> *mut c_void;
        pub fn pipe_affine(
            x: *const c_void,
            scale: *const c_void,
            offset: *const c_void,
            residual: *const c_void,
            relu: c_int,
            text: *mut c_char,
            size: usize,
        ) -> *mut c_void;
        pub fn pipe_join(
            small: *const c_void,
            skip: *const c_void,
            weight: *const c_void,
            bias: *const c_void,
            half: c_int,
            text: *mut c_char,
            size: usize,
        ) -> *mut c_void;
    }
}

/// Whether what follows a sum is a ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Negative numbers become zero.
    Relu,
    /// Nothing.
    Nothing,
}

/// How a convolution ends and how precise its products are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// What follows.
    pub then: Then,
    /// The numbers that are multiplied; sums have 32 bits in both.
    pub precision: Precision,
}

/// A convolution [samples, outputs, height, width] of square stride and padding.
pub fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: i64,
    manner: Manner,
) -> Tensor {
    // SAFETY: living tensors or null, and room for a text.
    made(|text| unsafe {
        let (at, size) = (text.start(), text.size());
        let (x, weight, bias) = (pointer(x), pointer(weight), optional(bias));
        shim::pipe_convolve(x, weight, bias, stride, padding, flag(manner.then), half(manner.precision), at, size)
    })
}

/// The vectors of a batch normalisation, one number a channel each.
#[derive(Clone, Copy, Debug)]
pub struct NormVectors<'a> {
    /// Factors.
    pub scale: &'a Tensor,
    /// Summands.
    pub offset: &'a Tensor,
    /// Running mean and variance, which are updated in place.
    pub running: Option<(&'a Tensor, &'a Tensor)>,
}

/// Share of a batch in the running statistics.
pub const MOMENTUM: f64 = 0.1;
/// Added to variances.
pub const EPSILON: f64 = 1e-5;

/// Batch normalisation with the batch's own statistics, plus a residual.
pub fn normalise(x: &Tensor, vectors: NormVectors<'_>, residual: Option<&Tensor>, then: Then) -> Tensor {
    let NormVectors { scale, offset, running } = vectors;
    let (mean, variance) = (optional(running.map(|(mean, _)| mean)), optional(running.map(|(_, variance)| variance)));
    // SAFETY: living tensors or null, and room for a text.
    made(|text| unsafe {
        let (at, size) = (text.start(), text.size());
        let (x, scale, offset, residual) = (pointer(x), pointer(scale), pointer(offset), optional(residual));
        shim::pipe_normalise(x, scale, offset, mean, variance, residual, MOMENTUM, EPSILON, flag(then), at, size)
    })
}

/// `x * scale + offset` by channel, plus a residual; without a gradient.
pub fn affine(x: &Tensor, scale: &Tensor, offset: &Tensor, residual: Option<&Tensor>, then: Then) -> Tensor {
    // SAFETY: living tensors or null, and room for a text.
    made(|text| unsafe {
        let (at, size) = (text.start(), text.size());
        shim::pipe_affine(pointer(x), pointer(scale), pointer(offset), optional(residual), flag(then), at, size)
    })
}

/// ReLU of the 3 x 3 convolution of `small`, enlarged to the size of `skip` (bilinear, aligned corners), joined with `skip`.
pub fn join(small: &Tensor, skip: &Tensor, weight: &Tensor, bias: &Tensor, precision: Precision) -> Tensor {
    // SAFETY: living tensors, and room for a text.
    made(|text| unsafe {
        let (at, size) = (text.start(), text.size());
        shim::pipe_join(pointer(small), pointer(skip), pointer(weight), pointer(bias), half(precision), at, size)
    })
}

fn made(call: impl FnOnce(&mut Text) -> *mut c_void) -> Tensor {
    let mut text = Text::new();
    let found = call(&mut text);
    assert!(!found.is_null(), "libtorch refuses an operation of the network: {}", text.words());
    // SAFETY: a new tensor, which nothing else owns.
    unsafe { Tensor::from_ptr(found.cast()) }
}

fn pointer(tensor: &Tensor) -> *const c_void {
    tensor.as_ptr().cast()
}

fn optional(tensor: Option<&Tensor>) -> *const c_void {
    tensor.map_or(std::ptr::null(), pointer)
}

fn flag(then: Then) -> c_int {
    c_int::from(then == Then::Relu)
}

fn half(precision: Precision) -> c_int {
    c_int::from(precision == Precision::Bf16)
}
