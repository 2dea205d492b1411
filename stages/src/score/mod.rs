//! `score/...`: the kinds that measure how well methods agree, the mean of that, and what each source of information contributes;
//! and which share of responses can be explained at all.

mod ceiling;
mod dice;
mod part;
mod partition;
mod partition_figure;
mod score_summary;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(ceiling::NoiseCeiling);
    registry.add(dice::DiceScores);
    registry.add(score_summary::ScoreSummary);
    registry.add(partition::VariancePartition);
}
