//! Where and how libtorch computes: device, threads, determinism, and the few calls that `tch` does not pass on (`shim.cpp`).

use std::ffi::{CStr, c_char, c_int};
use std::sync::Once;

use pipe_contract::{Device as Asked, Failure, RanOn, Task};
use pipe_stages::unet::declarations::{ComputePlace, Pin, Precision};
use tch::{Device, Tensor};

mod shim {
    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        pub fn pipe_libtorch_version() -> *const c_char;
        pub fn pipe_instructions(text: *mut c_char, size: usize);
        pub fn pipe_has_bf16() -> c_int;
        pub fn pipe_settle(text: *mut c_char, size: usize) -> c_int;
        pub fn pipe_load_cuda(text: *mut c_char, size: usize) -> c_int;
        pub fn pipe_cuda_name(index: c_int, text: *mut c_char, size: usize) -> c_int;
        pub fn pipe_adam(
            parameters: *const *const std::ffi::c_void,
            gradients: *const *const std::ffi::c_void,
            means: *const *const std::ffi::c_void,
            squares: *const *const std::ffi::c_void,
            step: *const std::ffi::c_void,
            count: usize,
            rate: f64,
            beta1: f64,
            beta2: f64,
            epsilon: f64,
            text: *mut c_char,
            size: usize,
        ) -> c_int;
        pub fn pipe_forget_gradients(tensors: *const *const std::ffi::c_void, count: usize);
    }
}

/// A device that is ready.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Where tensors go.
    pub device: Device,
    /// What goes into the record.
    pub ran_on: RanOn,
}

impl Backend {
    /// Refuses a precision that this device would have to imitate, which takes longer than 32 bits.
    ///
    /// # Errors
    /// Environment: the processor multiplies no numbers of that kind.
    pub fn check_precision(&self, precision: Precision) -> Result<(), Failure> {
        // SAFETY: asks the processor.
        if precision == Precision::F32 || self.device.is_cuda() || unsafe { shim::pipe_has_bf16() } != 0 {
            return Ok(());
        }
        Err(Failure::environment(
            "`precision: bf16` is asked for, but this processor has no instructions for it (AVX512-BF16 or AMX)",
        )
        .hint("set `precision: f32`, which is the default, or run on a processor or a GPU that has them"))
    }
}

/// Prepares this process for one task: device, threads, determinism.
///
/// # Errors
/// Environment: a GPU is asked for and cannot be used. Internal: libtorch refuses its settings.
pub fn prepare(place: &ComputePlace, task: &Task) -> Result<Backend, Failure> {
    let device = choose(place, task.device)?;
    // Before the first tensor: libtorch looks only once for what is there.
    if let Device::Cuda(index) = device {
        load_cuda(index)?;
    }
    settle(place.threads)?;
    let name = match device {
        Device::Cuda(index) => cuda_name(index),
        _ => "cpu".into(),
    };
    let ran_on = RanOn { device: name, instructions: instructions(), library: library(), threads: place.threads };
    Ok(Backend { device, ran_on })
}

fn choose(place: &ComputePlace, granted: Asked) -> Result<Device, Failure> {
    match (place.device, granted) {
        (Pin::Any | Pin::Cuda, Asked::Cuda(index)) => Ok(Device::Cuda(index as usize)),
        (Pin::Cuda, Asked::Cpu) => {
            Err(Failure::environment("`device: cuda` is asked for, but the stage was granted no GPU")
                .hint("give the stage `resources: { gpu: 1 }` on a machine with one, or set `device: any`"))
        }
        (Pin::Any | Pin::Cpu, _) => Ok(Device::Cpu),
    }
}

/// Sets threads and determinism. The number of threads between operations can be set once in a process only; it is 1.
fn settle(threads: u32) -> Result<(), Failure> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tch::set_num_interop_threads(1));
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
    let mut text = Text::new();
    // SAFETY: writes at most `size` bytes of text.
    match unsafe { shim::pipe_settle(text.start(), text.size()) } {
        0 => Ok(()),
        _ => Err(Failure::internal(format!("libtorch refuses deterministic algorithms: {}", text.words()))),
    }
}

fn load_cuda(index: usize) -> Result<(), Failure> {
    let mut text = Text::new();
    // SAFETY: writes at most `size` bytes of text; the library stays loaded for the life of the process.
    if unsafe { shim::pipe_load_cuda(text.start(), text.size()) } != 0 {
        return Err(Failure::environment(format!(
            "the GPU half of libtorch (`libtorch_cuda.so`) cannot be loaded: {}",
            text.words()
        ))
        .hint(
            "set PIPE_LIBTORCH to the folder `torch/lib` of torch==2.11.0 with its CUDA packages, or run on the processor \
             with `device: cpu`",
        ));
    }
    let devices = tch::Cuda::device_count();
    if i64::try_from(index).is_ok_and(|index| index < devices) {
        return Ok(());
    }
    Err(Failure::environment(format!("CUDA device {index} was granted, but libtorch sees {devices} of them"))
        .hint("check the driver with `nvidia-smi`, and CUDA_VISIBLE_DEVICES"))
}

fn cuda_name(index: usize) -> String {
    let mut text = Text::new();
    // SAFETY: writes at most `size` bytes of text.
    match unsafe { shim::pipe_cuda_name(c_int::try_from(index).unwrap_or(0), text.start(), text.size()) } {
        0 => text.words(),
        _ => "cuda".into(),
    }
}

/// The instruction set of libtorch's kernels on this processor, such as `AVX512`.
pub fn instructions() -> String {
    let mut text = Text::new();
    // SAFETY: writes at most `size` bytes of text.
    unsafe { shim::pipe_instructions(text.start(), text.size()) };
    text.words()
}

/// `libtorch` with the version that is loaded.
pub fn library() -> String {
    // SAFETY: a text that exists as long as the program.
    let version = unsafe { CStr::from_ptr(shim::pipe_libtorch_version()) };
    format!("libtorch {}", version.to_string_lossy())
}

/// The constants of one Adam step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    pub rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
}

/// One fused Adam step, in place; `step` holds the number of this step, from 1.
pub(crate) fn adam_step(
    parameters: &[Tensor],
    gradients: &[Tensor],
    means: &[Tensor],
    squares: &[Tensor],
    step: &Tensor,
    constants: AdamStep,
) -> Result<(), Failure> {
    let pointers = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.as_ptr().cast()).collect::<Vec<_>>();
    let (parameters, gradients) = (pointers(parameters), pointers(gradients));
    let (means, squares) = (pointers(means), pointers(squares));
    let AdamStep { rate, beta1, beta2, epsilon } = constants;
    assert!([gradients.len(), means.len(), squares.len()].iter().all(|count| *count == parameters.len()));
    let mut text = Text::new();
    // SAFETY: four lists of `count` living tensors each, and one tensor more.
    let status = unsafe {
        shim::pipe_adam(
            parameters.as_ptr(),
            gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            step.as_ptr().cast(),
            parameters.len(),
            rate,
            beta1,
            beta2,
            epsilon,
            text.start(),
            text.size(),
        )
    };
    match status {
        0 => Ok(()),
        _ => Err(Failure::internal(format!("libtorch could not do a step of Adam: {}", text.words()))),
    }
}

/// Takes the gradients off tensors.
pub(crate) fn forget_gradients(tensors: &[Tensor]) {
    let pointers: Vec<*const std::ffi::c_void> = tensors.iter().map(|tensor| tensor.as_ptr().cast()).collect();
    // SAFETY: a list of `count` living tensors.
    unsafe { shim::pipe_forget_gradients(pointers.as_ptr(), pointers.len()) }
}

/// Room for a text that C++ writes.
pub(crate) struct Text([u8; 512]);

impl Text {
    pub(crate) fn new() -> Self {
        Self([0; 512])
    }

    pub(crate) fn start(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }

    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn words(&self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end]).lines().next().unwrap_or_default().trim().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(device: Pin) -> ComputePlace {
        ComputePlace { threads: 1, device }
    }

    #[test]
    fn the_device_is_the_granted_one_unless_it_is_pinned() {
        assert_eq!(choose(&place(Pin::Any), Asked::Cpu).unwrap(), Device::Cpu);
        assert_eq!(choose(&place(Pin::Any), Asked::Cuda(2)).unwrap(), Device::Cuda(2));
        assert_eq!(choose(&place(Pin::Cpu), Asked::Cuda(0)).unwrap(), Device::Cpu);
        let failure = choose(&place(Pin::Cuda), Asked::Cpu).unwrap_err();
        assert!(failure.hint.unwrap().contains("gpu: 1"));
    }

    #[test]
    fn numbers_too_small_for_a_whole_mantissa_are_zero() {
        // On a thread of its own, as a task is: the setting belongs to the thread.
        let smallest = std::thread::spawn(|| {
            settle(1).unwrap();
            (Tensor::from_slice(&[1e-30_f32, 1.0]) * 1e-10).double_value(&[0])
        });
        assert_eq!(smallest.join().unwrap(), 0.0);
    }

    #[test]
    fn the_loaded_library_is_the_one_the_bindings_are_made_for() {
        assert_eq!(library(), "libtorch 2.11.0");
        assert!(["DEFAULT", "AVX2", "AVX512"].contains(&instructions().as_str()), "{}", instructions());
    }
}
