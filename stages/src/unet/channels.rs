//! Which channels a network reads and gives, by the codes of the paper.
//!
//! The order matters for published weights: `not2` puts the pRF channels before the diffusion ones, `full` after them.

use pipe_contract::Failure;

/// The codes of `inputs`: which channels a network reads.
pub const INPUTS: &[&str] = &["anat", "t1t2", "trac", "nofn", "func", "nodw", "not2", "full"];

/// The codes of `outputs`: what a network predicts.
pub const OUTPUTS: &[&str] = &["area", "ring"];

const ANATOMY: [&str; 7] = ["x", "y", "z", "curvature", "convexity", "thickness", "surface_area"];
const T2: [&str; 1] = ["myelin"];
const DIFFUSION: [&str; 2] = ["dwi_OR", "dwi_VOF"];
const FUNCTION: [&str; 4] = ["prf_x", "prf_y", "prf_sigma", "prf_cod"];

/// The channels of an input code, in the order of the network's input; 7 to 14 of them.
///
/// # Errors
/// Input: an unknown code.
pub fn of_inputs(code: &str) -> Result<Vec<&'static str>, Failure> {
    let groups: &[&[&str]] = match code {
        "anat" => &[],
        "t1t2" => &[&T2],
        "trac" => &[&DIFFUSION],
        "nofn" => &[&T2, &DIFFUSION],
        "func" => &[&FUNCTION],
        "nodw" => &[&T2, &FUNCTION],
        "not2" => &[&FUNCTION, &DIFFUSION],
        "full" => &[&T2, &DIFFUSION, &FUNCTION],
        _ => return Err(unknown("inputs", code, INPUTS)),
    };
    let mut channels = ANATOMY.to_vec();
    channels.extend(groups.iter().copied().flatten());
    Ok(channels)
}

/// The label channels of an output code; channel k holds label k + 1.
///
/// # Errors
/// Input: an unknown code.
pub fn of_outputs(code: &str) -> Result<Vec<&'static str>, Failure> {
    match code {
        "area" => Ok(vec!["V1", "V2", "V3"]),
        "ring" => Ok(vec!["E0", "E1", "E2", "E3", "E4"]),
        _ => Err(unknown("outputs", code, OUTPUTS)),
    }
}

fn unknown(what: &str, code: &str, known: &[&str]) -> Failure {
    Failure::input(format!("unknown code `{code}` for `{what}`")).hint(format!("the codes are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_published_number_of_channels() {
        let counts: Vec<_> = INPUTS.iter().map(|code| of_inputs(code).unwrap().len()).collect();
        assert_eq!(counts, [7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(of_outputs("area").unwrap().len(), 3);
        assert_eq!(of_outputs("ring").unwrap().len(), 5);
        assert!(of_inputs("fnyu").unwrap_err().hint.unwrap().contains("anat"));
    }

    #[test]
    fn function_comes_before_diffusion_only_in_not2() {
        let at = |code: &str, channel| of_inputs(code).unwrap().iter().position(|name| *name == channel).unwrap();
        assert!(at("not2", "prf_x") < at("not2", "dwi_OR"));
        assert!(at("full", "prf_x") > at("full", "dwi_OR"));
    }
}
