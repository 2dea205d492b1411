//! `figure/learning`: how trainings went: losses over epochs, a panel a model, and the same as a table.
//!
//! Decides what is comparable: all panels have one scale, from 0 to 1, the range of the Dice loss. The learning rate lies below each
//! panel, because rounds begin with another one. Of several restarts the chosen one is emphasised, by the rule of `unet/best`: the
//! smallest validation Dice loss, the first of equal ones. Losses are of the samples that choose the weights, so they are lower than
//! those of subjects who are held out.
//!
//! Every number is a mean over all subjects of one side of the split, or a setting of the training, so the figure aggregates: it counts
//! the fewest subjects behind any loss.

use std::collections::BTreeMap;

use pipe_contract::{Column, Context, Coordinates, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::{Scale, label, left_axis};
use crate::formats::drawing::colour::CATEGORIES;
use crate::formats::drawing::{
    Anchor, CanvasPoint, Colour, Drawing, FigureNotes, Lettering, SMALLEST_TEXT, Stroke, WIDEST, save, text_width,
};
use crate::formats::epoch_table::{self, Epoch};
use crate::formats::{score_table, training_subjects};
use crate::numeric::counts::real;

/// The kind.
pub(super) struct Learning;

parameters! {
    struct Parameters {
        /// raters who may have labelled one subject: samples divided by them are at least as many subjects, which rules of release
        /// count; 0 where it is not known, which counts none
        raters: usize = 0, in 0..=1_000;
    }
}

const LOSS: &str = "soft Dice loss, 0 to 1";

/// What is in the table.
const COLUMNS: &[Column] = &[
    Column::new("model", "the model: its inputs and outputs"),
    Column::new("restart", "which of several independent trainings; empty if there is one"),
    Column::new("chosen", "whether this restart has the smallest validation Dice loss of its model"),
    Column::new("round", "round of the training, from 1"),
    Column::new("epoch", "epoch of the round, from 1"),
    Column::measured("lr", "per step", "learning rate of the epoch"),
    Column::measured("trn_dice_loss", LOSS, "mean Dice loss of the training samples; less is better"),
    Column::measured("val_dice_loss", LOSS, "mean Dice loss of the samples that choose the weights; less is better"),
    Column::measured("val_dice", "soft Dice score, 0 to 1", "one minus that: the validation Dice"),
    Column::measured(
        "trn_loss",
        "loss, at least 0",
        "mean loss of the training samples, with the weights of the round",
    ),
    Column::measured("val_loss", "loss, at least 0", "mean loss of the samples that choose the weights"),
    Column::new("kept", "whether the training kept the weights of this epoch"),
    STAMP,
];

impl StageKind for Learning {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/learning",
            3,
            "Learning curves of models, a panel each, and the table of their epochs",
        )
        .gather(
            "models",
            &["model"],
            "trained networks, one per coordinates on `inputs`, `outputs` and, where there are several, `restart`",
        )
        .folder("table", "table/epochs", "one row per model, restart and epoch, in the order of the panels")
        .described(data_table::FILES, COLUMNS)
        .aggregating()
        .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with what is shown")
        .described(&[data_table::CSV], COLUMNS)
        .aggregating()
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { raters } = task.parameters()?;
        let (models, mut notes) = models(task, raters)?;
        notes.extend(task.absences("models"));
        for model in &models {
            let chosen = &model.restarts[model.chosen];
            context.log(&format!(
                "{}: least validation Dice loss {:.4}{}",
                model.name,
                chosen.least(),
                model.of_restarts()
            ));
        }
        let mut frame = table(&models, task.simulated)?;
        let folder = task.output("figure")?;
        save(&draw(&models, task.simulated), folder)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut frame)?;
        data_table::write(task.output("table")?, &mut frame)?;
        let restarts = models.iter().flat_map(|model| &model.restarts);
        let subjects = restarts.map(|restart| restart.subjects).min().unwrap_or(0);
        Ok(Ended::noted(notes).aggregating("table", subjects).aggregating("figure", subjects))
    }
}

/// The trainings of one network.
struct Model {
    name: String,
    /// By their numbers; never empty.
    restarts: Vec<Restart>,
    /// The index of the one with the smallest validation Dice loss.
    chosen: usize,
}

struct Restart {
    /// Empty if there is one.
    name: String,
    /// Never empty.
    epochs: Vec<Epoch>,
    /// The fewest behind any of its losses.
    subjects: usize,
}

impl Restart {
    /// The least validation Dice loss; infinite if none is a number.
    fn least(&self) -> f64 {
        self.epochs
            .iter()
            .map(|epoch| epoch.val_dice_loss)
            .filter(|loss| loss.is_finite())
            .fold(f64::INFINITY, f64::min)
    }
}

impl Model {
    /// ` (restart 3 of 10)`, or nothing if there is one.
    fn of_restarts(&self) -> String {
        let name = &self.restarts[self.chosen].name;
        if name.is_empty() || self.restarts.len() == 1 {
            String::new()
        } else {
            format!(" (restart {name} of {})", self.restarts.len())
        }
    }
}

/// All models that have a course, in the paper's order: outputs, then inputs; and notes on those that have none.
fn models(task: &Task, raters: usize) -> Result<(Vec<Model>, Vec<String>), Failure> {
    let mut found: BTreeMap<(String, usize, String), Vec<(u64, Restart)>> = BTreeMap::new();
    let mut without = Vec::new();
    for (at, folder) in task.present("models") {
        let Some(epochs) = epoch_table::read(folder)?.filter(|epochs| !epochs.is_empty()) else {
            without.push(format!("[{at}]"));
            continue;
        };
        let text = |axis: &str| at.get(axis).cloned().unwrap_or_default();
        let (inputs, outputs, restart) = (text("inputs"), text("outputs"), text("restart"));
        let rank = score_table::COLUMNS.iter().position(|(_, tag)| *tag == inputs).unwrap_or(usize::MAX);
        let number = restart.parse().unwrap_or(u64::MAX);
        let name = match (inputs.as_str(), outputs.as_str()) {
            ("", "") => others(at),
            (one, "") | ("", one) => one.to_owned(),
            (inputs, outputs) => format!("{inputs}, {outputs}"),
        };
        let subjects = training_subjects::fewest(folder, raters)?;
        found.entry((outputs, rank, name)).or_default().push((number, Restart { name: restart, epochs, subjects }));
    }
    let mut notes = Vec::new();
    if !without.is_empty() {
        notes.push(format!("no `{}`, so no curve: {}", epoch_table::EPOCHS, without.join(", ")));
    }
    if found.is_empty() {
        let message = format!("none of {} models has `{}`, expected at least one", without.len(), epoch_table::EPOCHS);
        return Err(Failure::input(message)
            .hint("give the `model` port of `unet/train` or `unet/best`; published weights have no course"));
    }
    let model = |((_, _, name), mut restarts): ((String, usize, String), Vec<(u64, Restart)>)| {
        restarts.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
        let restarts: Vec<Restart> = restarts.into_iter().map(|(_, restart)| restart).collect();
        let best = restarts.iter().enumerate().min_by(|a, b| a.1.least().total_cmp(&b.1.least()));
        let chosen = best.map_or(0, |(index, _)| index);
        Model { name, restarts, chosen }
    };
    Ok((found.into_iter().map(model).collect(), notes))
}

/// The name of a model without the usual axes: its coordinates but `restart`.
fn others(at: &Coordinates) -> String {
    let others: Vec<String> =
        at.iter().filter(|(axis, _)| *axis != "restart").map(|(axis, value)| format!("{axis} {value}")).collect();
    if others.is_empty() { "model".to_owned() } else { others.join(", ") }
}

fn table(models: &[Model], simulated: bool) -> Result<DataFrame, Failure> {
    let mut rows: Vec<(&str, &str, bool, &Epoch)> = Vec::new();
    for model in models {
        for (index, restart) in model.restarts.iter().enumerate() {
            let row = |epoch| (model.name.as_str(), restart.name.as_str(), index == model.chosen, epoch);
            rows.extend(restart.epochs.iter().map(row));
        }
    }
    let number = |of: fn(&Epoch) -> f64| rows.iter().map(move |row| of(row.3));
    DataTable::of(COLUMNS)
        .text("model", rows.iter().map(|row| row.0))
        .text("restart", rows.iter().map(|row| row.1))
        .flags("chosen", rows.iter().map(|row| row.2))
        .integers("round", rows.iter().map(|row| i64::from(row.3.round)))
        .integers("epoch", rows.iter().map(|row| i64::from(row.3.epoch)))
        .numbers("lr", number(|epoch| epoch.lr))
        .numbers("trn_dice_loss", number(|epoch| epoch.trn_dice_loss))
        .numbers("val_dice_loss", number(|epoch| epoch.val_dice_loss))
        .numbers("val_dice", number(|epoch| 1.0 - epoch.val_dice_loss))
        .numbers("trn_loss", number(|epoch| epoch.trn_loss))
        .numbers("val_loss", number(|epoch| epoch.val_loss))
        .flags("kept", rows.iter().map(|row| row.3.kept))
        .stamped(simulated)
        .build()
}

const MARGIN: f64 = 8.0;
/// Space for the axis left of the first panel of a row.
const AXIS: f64 = 26.0;
const GAP: f64 = 12.0;
/// Panels in a row, at most.
const ROW: usize = 4;
const PANEL: (f64, f64) = (108.0, 76.0);
/// Height of the names above a panel, of the strip of learning rates below it, and of the axis below that.
const NAME: f64 = 21.0;
const RATES: f64 = 20.0;
const FOOT: f64 = 18.0;
const HEAD: f64 = 30.0;
const SMALL: f64 = 6.0;
const LINE: f64 = 8.0;

const VALIDATION: Colour = CATEGORIES[0];
const TRAINING: Colour = CATEGORIES[4];

fn draw(models: &[Model], simulated: bool) -> Drawing {
    let columns = models.len().clamp(1, ROW);
    let width = (2.0 * MARGIN + AXIS + real(columns) * (PANEL.0 + GAP) - GAP).clamp(300.0, WIDEST);
    let rows = models.len().div_ceil(ROW);
    let height_of_row = NAME + PANEL.1 + RATES + FOOT;
    let notes = FigureNotes::new(&notes(models), width - 2.0 * MARGIN, (SMALL, LINE));
    let height = HEAD + height_of_row * real(rows) + notes.height() + 8.0;
    let mut drawing = Drawing::new(width, height, "Learning curves");
    head(&mut drawing, models, simulated);
    for (at, model) in models.iter().enumerate() {
        let left = MARGIN + AXIS + real(at % ROW) * (PANEL.0 + GAP);
        let top = HEAD + height_of_row * real(at / ROW) + NAME;
        panel(&mut drawing, (left, top), model, at % ROW == 0);
    }
    notes.draw(&mut drawing, (MARGIN, HEAD + height_of_row * real(rows) + 2.0));
    drawing
}

fn notes(models: &[Model]) -> Vec<String> {
    let mut notes = vec![
        "Dice loss: one minus a soft Dice score, mean over samples (a subject labelled by a rater); less is better. Validation \
         samples choose the epoch, so their least loss is lower than that of held-out subjects."
            .to_owned(),
        "Vertical lines: a new round, which continues from the best weights of the one before. Below: the learning rate \
         (lr) from 0 to its largest value in the panel, with the first rate of each round."
            .to_owned(),
    ];
    if models.iter().any(|model| model.restarts.len() > 1) {
        notes.push("Thin lines: the other restarts, independent trainings from other first weights.".into());
    }
    notes
}

/// Key of the lines, and the stamp.
fn head(drawing: &mut Drawing, models: &[Model], simulated: bool) {
    drawing.text((MARGIN, 10.0), "Learning curves", Lettering::new(8.0));
    if simulated {
        drawing.simulated_stamp((drawing.width() - MARGIN, 4.0));
    }
    let mut x = MARGIN;
    let y = 22.0;
    for (name, stroke) in [("validation", validation(true)), ("training", training(true))] {
        drawing.line((x, y), (x + 16.0, y), stroke);
        drawing.text((x + 20.0, y), name, Lettering::new(6.5));
        x += 20.0 + text_width(name, 6.5) + 10.0;
    }
    mark(drawing, (x + 4.0, y));
    drawing.text((x + 11.0, y), "epoch whose weights are kept", Lettering::new(6.5));
    x += 11.0 + text_width("epoch whose weights are kept", 6.5) + 10.0;
    if models.iter().any(|model| model.restarts.len() > 1) {
        drawing.line((x, y), (x + 16.0, y), validation(false));
        drawing.text((x + 20.0, y), "other restarts", Lettering::new(6.5));
    }
}

fn validation(chosen: bool) -> Stroke {
    if chosen { Stroke::new(VALIDATION, 1.2) } else { Stroke { opacity: 0.45, ..Stroke::new(VALIDATION, 0.4) } }
}

fn training(chosen: bool) -> Stroke {
    let width = if chosen { 1.0 } else { 0.4 };
    let opacity = if chosen { 1.0 } else { 0.35 };
    Stroke { opacity, ..Stroke::new(TRAINING, width) }.dashed(2.5, 1.5)
}

/// The ring around the epoch whose weights are kept.
fn mark(drawing: &mut Drawing, at: CanvasPoint) {
    drawing.ring(at, 2.6, Stroke::new(Colour::WHITE, 1.8));
    drawing.ring(at, 2.6, Stroke::new(Colour::INK, 0.9));
}

fn panel(drawing: &mut Drawing, (left, top): (f64, f64), model: &Model, first: bool) {
    let chosen = &model.restarts[model.chosen];
    drawing.text((left, top - 14.5), &model.name, Lettering::new(7.0));
    let least = format!("least validation {:.3}{}", chosen.least(), model.of_restarts());
    drawing.text((left, top - 6.0), &least, Lettering::new(SMALLEST_TEXT + 0.5).colour(Colour::QUIET));
    let longest = model.restarts.iter().map(|restart| restart.epochs.len()).max().unwrap_or(1);
    let x = Scale::new((0.5, real(longest) + 0.5), (left, left + PANEL.0));
    let y = Scale::new((0.0, 1.0), (top + PANEL.1, top));
    for fifths in 0..=5 {
        let at = y.at(f64::from(fifths) / 5.0);
        drawing.line((left, at), (left + PANEL.0, at), Stroke::new(Colour::FAINT, 0.5));
    }
    let (strip, base) = (top + PANEL.1 + 7.0, top + PANEL.1 + RATES);
    for at in starts(&chosen.epochs).into_iter().skip(1) {
        let at = x.at(real(at) + 0.5);
        drawing.line((at, top), (at, base), Stroke::new(Colour::RULE, 0.7));
    }
    let others = model.restarts.iter().enumerate().filter(|(index, _)| *index != model.chosen);
    for (restart, emphasised) in others.map(|(_, restart)| (restart, false)).chain([(chosen, true)]) {
        let curve = |of: fn(&Epoch) -> f64| {
            let points = restart.epochs.iter().enumerate();
            points.map(|(at, epoch)| (x.at(real(at) + 1.0), of(epoch))).collect::<Vec<_>>()
        };
        line(drawing, &curve(|epoch| epoch.trn_dice_loss), &y, training(emphasised), emphasised);
        line(drawing, &curve(|epoch| epoch.val_dice_loss), &y, validation(emphasised), emphasised);
    }
    let kept = chosen.epochs.iter().enumerate().find(|(_, epoch)| epoch.kept && epoch.val_dice_loss.is_finite());
    if let Some((at, epoch)) = kept {
        mark(drawing, (x.at(real(at) + 1.0), y.at(epoch.val_dice_loss)));
    }
    rates(drawing, &chosen.epochs, &x, (strip, base));
    epochs_axis(drawing, longest, &x, base);
    let ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    if first {
        left_axis(drawing, left, &y, &ticks, 0.2, 6.0);
        let title = Lettering::new(6.5).anchor(Anchor::Middle).turn(-90.0);
        drawing.text((MARGIN + 2.0, top + PANEL.1 / 2.0), "Dice loss", title);
        drawing.text((left - 4.5, f64::midpoint(strip, base)), "lr", Lettering::new(6.0).anchor(Anchor::End));
    } else {
        drawing.line((left, top), (left, top + PANEL.1), Stroke::new(Colour::INK, 0.6));
    }
}

/// A curve, broken where a loss is not a number; with a dot a point where there are few.
fn line(drawing: &mut Drawing, points: &[CanvasPoint], y: &Scale, stroke: Stroke, dots: bool) {
    let runs = points.split(|point| !point.1.is_finite());
    let placed = |run: &[CanvasPoint]| run.iter().map(|(x, loss)| (*x, y.at(loss.clamp(0.0, 1.0)))).collect::<Vec<_>>();
    let runs: Vec<Vec<CanvasPoint>> = runs.map(placed).collect();
    drawing.lines(&runs, stroke);
    if dots && points.len() <= 12 {
        drawing.dots(runs.into_iter().flatten(), 1.2, stroke.colour, 1.0);
    }
}

/// The indices at which rounds begin.
fn starts(epochs: &[Epoch]) -> Vec<usize> {
    (0..epochs.len()).filter(|at| *at == 0 || epochs[*at].round != epochs[at - 1].round).collect()
}

/// The learning rate as steps, and its value where a round begins.
fn rates(drawing: &mut Drawing, epochs: &[Epoch], x: &Scale, (top, base): (f64, f64)) {
    let most = epochs.iter().map(|epoch| epoch.lr).filter(|lr| lr.is_finite()).fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    let y = Scale::new((0.0, most), (base, top + 5.0));
    let mut steps = Vec::new();
    for (at, epoch) in epochs.iter().enumerate() {
        let height = y.at(epoch.lr.max(0.0));
        steps.extend([(x.at(real(at) + 0.5), height), (x.at(real(at) + 1.5), height)]);
    }
    drawing.lines(&[steps], Stroke::new(Colour::QUIET, 0.7));
    let starts = starts(epochs);
    for (number, at) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(epochs.len());
        let (from, to) = (x.at(real(*at) + 0.5), x.at(real(end) + 0.5));
        let text = rate(epochs[*at].lr);
        // A round that is too short for its number shows the step alone.
        if text_width(&text, SMALLEST_TEXT) < to - from - 1.0 {
            let lettering = Lettering::new(SMALLEST_TEXT).colour(Colour::QUIET);
            drawing.text((from + 1.0, top), &text, lettering);
        }
    }
}

/// A learning rate to three significant digits, without zeros at its end.
fn rate(lr: f64) -> String {
    let rounded: f64 = format!("{lr:.2e}").parse().unwrap_or(lr);
    rounded.to_string()
}

/// The horizontal axis: epochs from the first one, at most five ticks.
fn epochs_axis(drawing: &mut Drawing, epochs: usize, x: &Scale, base: f64) {
    drawing.line((x.places.0, base), (x.places.1, base), Stroke::new(Colour::INK, 0.6));
    let step = [1, 2, 5, 10, 20, 50, 100].into_iter().find(|step| epochs / step <= 5).unwrap_or(epochs.div_ceil(5));
    for epoch in (1..=epochs).filter(|epoch| epoch % step == 0) {
        let at = x.at(real(epoch));
        drawing.line((at, base), (at, base + 2.0), Stroke::new(Colour::INK, 0.5));
        drawing.text((at, base + 6.0), &label(real(epoch), 1.0), Lettering::new(5.5).anchor(Anchor::Middle));
    }
    let centre = f64::midpoint(x.places.0, x.places.1);
    drawing.text((centre, base + 12.5), "epoch", Lettering::new(5.5).anchor(Anchor::Middle).colour(Colour::QUIET));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};
    use crate::test_support::tasks;

    /// A training of so many rounds and epochs whose losses fall to `end`, with the validation loss above the training loss.
    fn epochs(rounds: u32, of: u32, end: f64) -> Vec<Epoch> {
        let all = f64::from(rounds * of);
        let mut epochs: Vec<Epoch> = (0..rounds * of)
            .map(|at| {
                let share = f64::from(at + 1) / all;
                let loss = end + (0.95 - end) * libm::exp(-5.0 * share) + 0.01 * f64::from((at * 7) % 5);
                let lr = 0.00375 / f64::from(at / of + 1) * libm::pow(0.9, f64::from(at % of));
                Epoch {
                    round: at / of + 1,
                    epoch: at % of + 1,
                    lr,
                    trn_dice_loss: loss - 0.08 * share,
                    trn_loss: loss,
                    val_dice_loss: loss,
                    val_loss: loss + 0.1,
                    kept: false,
                }
            })
            .collect();
        let best =
            (0..epochs.len()).min_by(|a, b| epochs[*a].val_dice_loss.total_cmp(&epochs[*b].val_dice_loss)).unwrap();
        epochs[best].kept = true;
        epochs
    }

    fn written(folder: &Path, epochs: &[Epoch]) {
        let mut text =
            format!("{}\n", epoch_table::EPOCH_COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>().join("\t"));
        for e in epochs {
            let Epoch { round, epoch, lr, trn_dice_loss, trn_loss, val_dice_loss, val_loss, kept } = e;
            let kept = if *kept { "*" } else { "" };
            text += &format!(
                "{round}\t{epoch}\t{lr}\t0\t{trn_dice_loss}\t{trn_loss}\t0\t{val_dice_loss}\t{val_loss}\t\t{kept}\n"
            );
        }
        fs_err::create_dir_all(folder).unwrap();
        fs_err::write(folder.join(epoch_table::EPOCHS), text).unwrap();
    }

    fn model(name: &str, restarts: u32, rounds: u32, of: u32) -> Model {
        let many = restarts > 1;
        let restart = |number: u32| Restart {
            name: if many { number.to_string() } else { String::new() },
            epochs: epochs(rounds, of, 0.2 + 0.01 * f64::from((number * 3) % 7)),
            subjects: 0,
        };
        Model { name: name.into(), restarts: (1..=restarts).map(restart).collect(), chosen: 0 }
    }

    /// The paper's sixteen models of ten restarts.
    fn sixteen() -> Drawing {
        let mut models = Vec::new();
        for outputs in ["area", "ring"] {
            for inputs in ["anat", "t1t2", "trac", "nofn", "full", "func", "nodw", "not2"] {
                models.push(model(&format!("{inputs}, {outputs}"), 10, 3, 10));
            }
        }
        draw(&models, true)
    }

    #[test]
    fn any_number_of_models_is_readable_and_printable() {
        for count in [1, 2, 5] {
            let models: Vec<Model> = (0..count).map(|at| model(&format!("m{at}"), 1 + at, 1 + at % 3, 1)).collect();
            let drawing = draw(&models, true);
            assert_readable(&drawing);
            assert!(drawing.width() <= WIDEST + 1e-9);
        }
        assert!(sixteen().width() > WIDEST - 12.0);
    }

    #[test]
    fn curves_rounds_rates_and_the_kept_epoch_are_shown() {
        let svg = draw(&[model("anat, area", 3, 3, 10)], false).svg();
        for words in ["anat, area", "0.00375", "0.00125", "Dice loss", "epoch", "validation", "other restarts"] {
            assert!(svg.contains(&format!(">{words}</text>")), "`{words}` is not in the figure");
        }
        assert!(svg.contains("(restart 1 of 3)") && !svg.contains("SIMULATED"));
        // The key and the chosen restart: a ring in ink each.
        assert_eq!(svg.matches(r#"r="2.6""#).count(), 4);
    }

    #[test]
    fn a_loss_that_is_not_a_number_breaks_the_curve() {
        let mut broken = model("anat", 1, 1, 5);
        broken.restarts[0].epochs[2].val_dice_loss = f64::NAN;
        let svg = draw(&[broken], false).svg();
        assert!(!svg.contains("NaN"), "no coordinate is NaN");
        let solid = svg.lines().find(|line| line.contains("stroke-width=\"1.2\"") && line.contains("M")).unwrap();
        assert!(solid.starts_with("<path"));
    }

    #[test]
    fn models_are_in_the_papers_order_and_the_least_loss_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&Learning, folder.path());
        for (inputs, restart, end) in [("func", "1", 0.3), ("anat", "2", 0.2), ("anat", "10", 0.1), ("anat", "1", 0.3)]
        {
            let path = folder.path().join(format!("{inputs}{restart}"));
            written(&path, &epochs(2, 3, end));
            let at = [("inputs", inputs), ("outputs", "area"), ("restart", restart)];
            tasks::gather(&mut task, "models", &at, Some(&path));
        }
        tasks::gather(&mut task, "models", &[("inputs", "full"), ("outputs", "area"), ("restart", "1")], None);
        let imported = folder.path().join("imported");
        fs_err::create_dir_all(&imported).unwrap();
        tasks::gather(&mut task, "models", &[("inputs", "not2"), ("outputs", "area")], Some(&imported));
        let notes = tasks::run(&Learning, &task).unwrap();
        assert_eq!(
            notes,
            ["no `epochs.tsv`, so no curve: [inputs=not2, outputs=area]", "5 of 6 `models` (1 not-found)",]
        );
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join("table.csv")).unwrap();
        let rows: Vec<&str> = csv.lines().collect();
        assert!(rows[0].starts_with("model,restart,chosen,round,epoch,lr,"));
        assert!(
            rows[1].starts_with("\"anat, area\",1,false,1,1,") && rows[13].starts_with("\"anat, area\",10,true,"),
            "{csv}"
        );
        assert!(rows[19].starts_with("\"func, area\",1,true,") && rows.len() == 1 + 4 * 6);
        let table = fs_err::read_to_string(task.output("table").unwrap().join("table.csv")).unwrap();
        assert_eq!(table, csv);
    }

    #[test]
    fn the_fewest_subjects_behind_any_curve_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&Learning, folder.path());
        for (restart, validation) in [("1", 130), ("2", 77)] {
            let path = folder.path().join(restart);
            written(&path, &epochs(1, 2, 0.3));
            let options = format!(r#"{{ "training_samples": 520, "validation_samples": {validation} }}"#);
            fs_err::write(path.join("options.json"), options).unwrap();
            tasks::gather(&mut task, "models", &[("inputs", "anat"), ("restart", restart)], Some(&path));
        }
        let behind = |task: &Task| tasks::aggregated(&Learning, task).unwrap()["figure"];
        assert_eq!(behind(&task), 0, "how many raters there are was not said");
        tasks::set(&mut task, "raters", pipe_contract::Value::Int(4));
        assert_eq!(behind(&task), 20);
        tasks::gather(&mut task, "models", &[("inputs", "func"), ("restart", "1")], None);
        assert_eq!(behind(&task), 20, "an absent training has no curve");
    }

    #[test]
    fn nothing_to_draw_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&Learning, folder.path());
        tasks::gather(&mut task, "models", &[("inputs", "anat")], Some(folder.path()));
        let failure = tasks::run(&Learning, &task).unwrap_err();
        assert_eq!(failure.message, "none of 1 models has `epochs.tsv`, expected at least one");
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| draw(&[model("anat, area", 3, 3, 10)], true));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("learning", sixteen);
        look_at("learning_small", || draw(&[model("anat, area", 3, 3, 1), model("func, area", 1, 3, 1)], true));
    }
}
