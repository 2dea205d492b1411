//! `score/...`: the kinds that measure how well methods agree, the mean of that, and what each source of information contributes.

mod dice;
mod part;
mod partition;
mod partition_figure;
mod score_summary;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(dice::DiceScores);
    registry.add(score_summary::ScoreSummary);
    registry.add(partition::VariancePartition);
}
