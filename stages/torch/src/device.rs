//! `unet/device`: whether libtorch works on the granted device, and which one that is.

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use pipe_stages::unet::declarations::{self, ComputePlace};
use tch::{Kind as ElementType, Tensor};

use crate::backend;

/// The kind.
pub struct DeviceCheck;

/// Rows and columns of the matrices that are multiplied.
const SIZE: i64 = 64;

impl StageKind for DeviceCheck {
    fn kind(&self) -> Kind {
        declarations::device()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let place: ComputePlace = task.parameters()?;
        let backend = backend::prepare(&place, task)?;
        let ones = Tensor::ones([SIZE, SIZE], (ElementType::Float, backend.device));
        let sum = f64::try_from(ones.matmul(&ones).sum(ElementType::Double)).unwrap_or(f64::NAN);
        let expected = (SIZE * SIZE * SIZE) as f64;
        let device = &backend.ran_on.device;
        if (sum - expected).abs() > 0.0 {
            return Err(Failure::environment(format!(
                "a product of matrices on {device} sums to {sum}, expected {expected}"
            ))
            .hint("the driver or the device is faulty: run on the processor with `device: cpu`"));
        }
        let line = format!("{} on {device}, {}\n", backend.ran_on.library, backend.ran_on.instructions);
        let output = task.output("device")?;
        fs::write(output, line).map_err(|error| Failure::io("write", output, &error))?;
        Ok(Ended::Done { ran_on: Some(backend.ran_on), notes: Vec::new(), aggregated: Default::default() })
    }
}
