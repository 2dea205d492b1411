//! What a command line adds to a pipeline file.

use super::resolved::Amounts;

/// What the command line adds to a pipeline file.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// The profile; `None` takes the one with `default: true`, if the file has profiles.
    pub profile: Option<String>,
    /// `--set name=value`, later ones win; values are YAML.
    pub set: Vec<(String, String)>,
    /// What this machine has.
    pub machine: Amounts,
}

impl Default for PlanOptions {
    /// The default profile on a machine without GPU and with no limit on any other resource.
    fn default() -> Self {
        let machine = Amounts { cpu: u32::MAX, gpu: 0, mem: u64::MAX, net: u32::MAX };
        Self { profile: None, set: Vec::new(), machine }
    }
}
