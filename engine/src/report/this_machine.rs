//! Where a run took place: name, system, processor and instruction set of this machine, for manifests, sidecars and records.

use std::io::Read;

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// Where a run took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Such as `linux`.
    pub os: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// The instruction set that it has at least: `x86-64-v1` to `x86-64-v4`, else the architecture.
    pub instructions: String,
    /// The processor's name, if the system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Processor slots that the run offered.
    pub cpu: u32,
    /// GPUs that the run offered.
    pub gpus: usize,
}

impl Machine {
    /// This machine.
    pub fn this(cpu: u32, gpus: usize) -> Self {
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            instructions: instructions().to_owned(),
            processor: processor(),
            cpu,
            gpus,
        }
    }
}

/// The level of the instruction set, as the System V ABI defines levels.
#[cfg(target_arch = "x86_64")]
fn instructions() -> &'static str {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse3") && has!("sse4.2") && has!("ssse3");
    let v3 =
        has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma") && has!("lzcnt") && has!("movbe");
    let v4 = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match (v2, v2 && v3, v2 && v3 && v4) {
        (_, _, true) => "x86-64-v4",
        (_, true, _) => "x86-64-v3",
        (true, ..) => "x86-64-v2",
        _ => "x86-64-v1",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> &'static str {
    std::env::consts::ARCH
}

/// Read from the beginning of the list of processors: the kernel writes as much of it as is read.
fn processor() -> Option<String> {
    let mut text = Vec::new();
    fs::File::open("/proc/cpuinfo").ok()?.take(4096).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.map(str::to_owned)
}
