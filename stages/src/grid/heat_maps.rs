//! `grid/figure`: the losses of a grid search as heat maps, figures S1 and S2 of the paper.
//!
//! For each inputs a block: a half for each encoder, in it a row of panels for each batch size and a column for each
//! share of cross-entropy; in a panel learning rates go to the right and `gamma` upwards. A square is a cell. Colours
//! (`hot`, 0.05 to 0.4), rounding to three decimals, the star on every cell that equals the least of its encoder, and
//! the line in the log are the notebook's. On purpose the figure is 183 mm wide instead of 18 inches, what has no loss
//! is crossed instead of left white, stars have an edge, because the least loss may have a light colour, and words
//! below say what is shown.

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, choice, parameters};

use super::cell_table::{self, CellLosses, CellRow, DICE_LOSS, GridCellState, STATE, counted, with_factors};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::colour_bar;
use crate::formats::drawing::{Anchor, CanvasPoint, Colour, Drawing, FigureNotes, Lettering, Stroke, save, text_width};
use crate::formats::score_table;
use crate::numeric::counts::real;

/// The kind.
pub(super) struct HeatMaps;

parameters! {
    struct Parameters {
        /// the inputs that have a block, from the top
        inputs: Vec<String>;
        /// what the networks label
        prediction: String;
        /// which of a cell's numbers is shown
        value: ShownLoss = ShownLoss::Min;
        /// the loss that has the darkest colour
        low: f64 = 0.05, in 0.0..=1.0;
        /// the loss that has the lightest colour
        high: f64 = 0.4, in 0.0..=1.0;
        /// a star on the cells that equal the least of their encoder, to three decimals
        star: bool = true;
    }
}

choice! {
    /// A number over the iterations of a cell.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum ShownLoss {
        /// The least.
        Min = "loss_min",
        /// The mean.
        Mean = "loss_mean",
        /// The median.
        Median = "loss_median",
        /// The population standard deviation.
        Std = "loss_std",
        /// The largest.
        Max = "loss_max",
    }
}

impl ShownLoss {
    /// The number, rounded to three decimals, halves to even, as numpy does.
    fn of(self, losses: &CellLosses) -> f64 {
        let value = match self {
            Self::Min => losses.min,
            Self::Mean => losses.mean,
            Self::Median => losses.median,
            Self::Std => losses.std,
            Self::Max => losses.max,
        };
        (value * 1000.0).round_ties_even() / 1000.0
    }

    fn words(self) -> &'static str {
        match self {
            Self::Min => "least",
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Std => "standard deviation",
            Self::Max => "largest",
        }
    }
}

impl StageKind for HeatMaps {
    fn kind(&self) -> Kind {
        let kind = Kind::new("grid/figure", 3, "Heat maps of the losses of a grid search, with stars on the least.")
            .input("cells", &["table/grid"], "The cells of a grid search.")
            .folder(
                "figure",
                "figure",
                "figure.svg, figure.pdf, figure.png, and table.csv with the cells that are shown.",
            )
            .described(&[data_table::CSV], COLUMNS)
            .aggregating()
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        if parameters.low >= parameters.high {
            return Err(Failure::input(format!(
                "the colours go from {} to {}, expected `low` below `high`",
                parameters.low, parameters.high
            )));
        }
        let rows = cell_table::read(task.one("cells")?)?;
        let blocks = blocks(&rows, &parameters)?;
        blocks.iter().for_each(|block| context.log(&block.line(&parameters.prediction)));
        let folder = task.output("figure")?;
        save(&draw(&blocks, &parameters, task.simulated), folder)?;
        let squares: Vec<&Square<'_>> = blocks.iter().flat_map(|block| &block.squares).collect();
        write_table(task, &squares)?;
        let shown: Vec<CellRow> = squares.iter().map(|square| square.row.clone()).collect();
        Ok(Ended::done().aggregating("figure", cell_table::fewest_subjects(&shown)))
    }
}

/// One cell that is shown.
struct Square<'a> {
    row: &'a CellRow,
    /// What is shown of it, to three decimals.
    value: Option<f64>,
    /// It equals the least of its encoder.
    is_least: bool,
}

/// The cells of one inputs code.
struct Block<'a> {
    inputs: &'a str,
    levels: Levels<'a>,
    squares: Vec<Square<'a>>,
}

/// The levels in the order in which they are laid out.
struct Levels<'a> {
    /// In the order of the table.
    base_models: Vec<&'a str>,
    /// From the top.
    batch_sizes: Vec<u32>,
    bce_weights: Vec<f64>,
    /// From the bottom.
    gammas: Vec<f64>,
    rates: Vec<f64>,
}

impl<'a> Levels<'a> {
    fn of(rows: &[&'a CellRow]) -> Self {
        let numbers = |of: fn(&CellRow) -> f64| {
            let mut all: Vec<f64> = rows.iter().map(|row| of(row)).collect();
            all.sort_by(f64::total_cmp);
            all.dedup();
            all
        };
        let mut base_models: Vec<&str> = Vec::new();
        for row in rows {
            if !base_models.contains(&row.factors.base_model.as_str()) {
                base_models.push(&row.factors.base_model);
            }
        }
        let mut batch_sizes: Vec<u32> = rows.iter().map(|row| row.factors.batch_size).collect();
        batch_sizes.sort_unstable();
        batch_sizes.dedup();
        Self {
            base_models,
            batch_sizes,
            bce_weights: numbers(|row| row.factors.bce_weight),
            gammas: numbers(|row| row.factors.gamma),
            rates: numbers(|row| row.factors.lr),
        }
    }
}

impl Block<'_> {
    /// The least value of an encoder.
    fn least(&self, base_model: &str) -> Option<f64> {
        let own = self.squares.iter().filter(|square| square.row.factors.base_model == base_model);
        own.filter_map(|square| square.value).reduce(f64::min)
    }

    /// As the notebook prints it: `[anat:area]  ResNet18: 0.17;  ResNet34: 0.16`.
    fn line(&self, prediction: &str) -> String {
        let least = |base_model: &&str| {
            let value = self.least(base_model).map_or_else(|| "none".to_owned(), |least| format!("{least:3.2}"));
            format!("{}: {value}", encoder(base_model, ""))
        };
        let all: Vec<String> = self.levels.base_models.iter().map(least).collect();
        format!("[{}:{prediction}]  {}", self.inputs, all.join(";  "))
    }
}

/// `ResNet18` or, with a dash, `ResNet-18`.
fn encoder(base_model: &str, dash: &str) -> String {
    base_model.strip_prefix("resnet").map_or_else(|| base_model.to_owned(), |layers| format!("ResNet{dash}{layers}"))
}

fn blocks<'a>(rows: &'a [CellRow], parameters: &'a Parameters) -> Result<Vec<Block<'a>>, Failure> {
    if parameters.inputs.is_empty() {
        return Err(Failure::input("`inputs` is an empty list, expected the codes that are to be shown"));
    }
    parameters.inputs.iter().map(|inputs| block(rows, inputs, parameters)).collect()
}

fn block<'a>(rows: &'a [CellRow], inputs: &'a str, parameters: &Parameters) -> Result<Block<'a>, Failure> {
    let is_shown = |row: &&CellRow| row.factors.inputs == inputs && row.factors.prediction == parameters.prediction;
    let shown: Vec<&CellRow> = rows.iter().filter(is_shown).collect();
    if shown.is_empty() {
        let mut there: Vec<String> =
            rows.iter().map(|row| format!("{} and {}", row.factors.inputs, row.factors.prediction)).collect();
        there.sort();
        there.dedup();
        let prediction = &parameters.prediction;
        return Err(Failure::input(format!(
            "the grid has no cells of inputs `{inputs}` and prediction `{prediction}`"
        ))
        .hint(format!("it has cells of {}", there.join("; "))));
    }
    let value = |row: &CellRow| row.losses.as_ref().map(|losses| parameters.value.of(losses));
    let squares = shown.iter().map(|row| Square { row, value: value(row), is_least: false }).collect();
    let mut block = Block { inputs, levels: Levels::of(&shown), squares };
    let least: Vec<Option<f64>> =
        block.squares.iter().map(|square| block.least(&square.row.factors.base_model)).collect();
    for (square, least) in block.squares.iter_mut().zip(least) {
        square.is_least = square.value.is_some() && square.value == least;
    }
    Ok(block)
}

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::new("cell_id", "number of the cell"),
    Column::new("base_model", "the encoder"),
    Column::measured("lr", "per step", "learning rate of the first epoch: to the right in a panel"),
    Column::measured("gamma", "factor", "factor on the learning rate after each epoch of a round: upwards in a panel"),
    Column::measured(
        "bce_weight",
        "share, 0 to 1",
        "share of cross-entropy in the loss of the first round: a column of panels",
    ),
    Column::new("batch_size", "samples in a batch: a row of panels"),
    Column::new("inputs", "the input code of the networks: a block"),
    Column::new("prediction", "what the networks label")
        .levels(&[("area", "visual areas V1, V2 and V3"), ("ring", "five rings of eccentricity")]),
    STATE,
    Column::measured("value", DICE_LOSS, "what is shown, to three decimals; empty for a cell without a loss"),
    Column::new("star", "it equals the least of its inputs and encoder").levels(&[("true", "yes"), ("false", "no")]),
    STAMP,
];

fn write_table(task: &Task, squares: &[&Square<'_>]) -> Result<(), Failure> {
    let table = with_factors(DataTable::of(COLUMNS), squares.iter().map(|square| square.row))
        .text("state", squares.iter().map(|square| square.row.state.word()))
        .optional_numbers("value", squares.iter().map(|square| square.value))
        .flags("star", squares.iter().map(|square| square.is_least));
    let mut frame = table.stamped(task.simulated).build()?;
    data_table::write_csv(&task.output("figure")?.join(data_table::CSV), &mut frame)
}

/// matplotlib's map `hot` over 0 to 1: black, red, yellow, white. Red reaches its end at 0.365, green begins there and
/// reaches it at 0.746, where blue begins.
fn hot(share: f64) -> Colour {
    const RED: f64 = 0.365_079;
    const GREEN: f64 = 0.746_032;
    let share = share.clamp(0.0, 1.0);
    let between = |low: f64, high: f64| ((share - low) / (high - low)).clamp(0.0, 1.0);
    Colour::fractions(0.0416 + (1.0 - 0.0416) * between(0.0, RED), between(RED, GREEN), between(GREEN, 1.0))
}

/// 183 mm, the width of a page of two columns.
const WIDTH: f64 = 183.0 / 25.4 * 72.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = WIDTH - 8.0;
/// Above the first block: title, key of colours, stamp.
const HEAD: f64 = 34.0;
/// Above the panels of a block: what it is, and the encoders.
const BLOCK_HEAD: f64 = 26.0;
/// Below them: learning rates and the name of the axis.
const BLOCK_FOOT: f64 = 24.0;
/// Above a panel: its title.
const PANEL_HEAD: f64 = 9.5;
const PANEL_GAP: f64 = 6.0;
const HALF_GAP: f64 = 16.0;
/// No square is larger.
const MOST_SQUARE: f64 = 26.0;
/// No text is smaller than five points.
const SMALL: f64 = 5.5;
const LINE: f64 = 8.0;
/// How far a square reaches below its neighbours.
const SEAM: f64 = 0.3;
/// A figure of few cells has room for its title and the key of colours.
const LEAST_WIDTH: f64 = 300.0;

/// Where panels and squares of a block lie.
struct Layout {
    square: f64,
    halves: usize,
    panels: usize,
    rates: usize,
    gammas: usize,
}

impl Layout {
    fn of(blocks: &[Block<'_>]) -> Self {
        let most =
            |of: fn(&Levels<'_>) -> usize| blocks.iter().map(|block| of(&block.levels)).max().unwrap_or(1).max(1);
        let (halves, panels) = (most(|l| l.base_models.len()), most(|l| l.bce_weights.len()));
        let (rates, gammas) = (most(|l| l.rates.len()), most(|l| l.gammas.len()));
        let gaps = PANEL_GAP * real(halves * (panels - 1)) + HALF_GAP * real(halves - 1);
        let square = ((RIGHT - LEFT - gaps) / real(halves * panels * rates)).min(MOST_SQUARE);
        Self { square, halves, panels, rates, gammas }
    }

    fn panel_width(&self) -> f64 {
        self.square * real(self.rates)
    }

    fn row_height(&self) -> f64 {
        PANEL_HEAD + self.square * real(self.gammas) + PANEL_GAP / 2.0
    }

    /// Where a panel begins, from the left.
    fn x(&self, half: usize, panel: usize) -> f64 {
        let half_width = self.panel_width() * real(self.panels) + PANEL_GAP * real(self.panels - 1);
        LEFT + (half_width + HALF_GAP) * real(half) + (self.panel_width() + PANEL_GAP) * real(panel)
    }

    /// Where a half is, from its left to its right.
    fn half(&self, half: usize) -> (f64, f64) {
        (self.x(half, 0), self.x(half, self.panels - 1) + self.panel_width())
    }

    /// The right end of everything.
    fn right(&self) -> f64 {
        self.half(self.halves - 1).1.max(LEAST_WIDTH)
    }

    fn height_of(&self, block: &Block<'_>) -> f64 {
        BLOCK_HEAD + self.row_height() * real(block.levels.batch_sizes.len()) + BLOCK_FOOT
    }
}

fn draw(blocks: &[Block<'_>], parameters: &Parameters, simulated: bool) -> Drawing {
    let layout = Layout::of(blocks);
    let notes = FigureNotes::new(&notes(blocks, parameters), layout.right() - 10.0, (SMALL, LINE));
    let panels: f64 = blocks.iter().map(|block| layout.height_of(block)).sum();
    let height = HEAD + panels + notes.height() + 6.0;
    let mut drawing =
        Drawing::new(layout.right() + (WIDTH - RIGHT), height, &format!("Grid search, {}", parameters.prediction));
    head(&mut drawing, parameters, layout.right(), simulated);
    let mut top = HEAD;
    for block in blocks {
        draw_block(&mut drawing, block, parameters, &layout, top);
        top += layout.height_of(block);
    }
    notes.draw(&mut drawing, (10.0, top));
    drawing
}

/// Title, key of colours, and the stamp.
fn head(drawing: &mut Drawing, parameters: &Parameters, right: f64, simulated: bool) {
    let what = match parameters.prediction.as_str() {
        "area" => "visual areas",
        "ring" => "rings of eccentricity",
        other => other,
    };
    drawing.text((10.0, 10.0), &format!("Search for hyperparameters, {what}"), Lettering::new(8.5));
    let (low, high) = (format!("{:.2}", parameters.low), format!("{:.2}", parameters.high));
    let name = "validation Dice loss";
    let lettering = Lettering::new(6.0);
    let mut x = 10.0;
    drawing.text((x, 23.0), name, lettering);
    x += text_width(name, 6.0) + 6.0;
    drawing.text((x, 23.0), &low, lettering);
    x += text_width(&low, 6.0) + 3.0;
    colour_bar(drawing, (x, 19.5), 90.0, 7.0, hot);
    drawing.text((x + 93.0, 23.0), &high, lettering);
    if simulated {
        drawing.simulated_stamp((right, 4.0));
    }
}

fn draw_block(drawing: &mut Drawing, block: &Block<'_>, parameters: &Parameters, layout: &Layout, top: f64) {
    let levels = &block.levels;
    let words = score_table::explained(block.inputs).map_or_else(String::new, |words| format!(": {words}"));
    drawing.text((10.0, top + 6.0), &format!("inputs {}{words}", block.inputs), Lettering::new(7.5));
    let first_row = top + BLOCK_HEAD;
    for (half, base_model) in levels.base_models.iter().enumerate() {
        let (from, to) = layout.half(half);
        let least = block.least(base_model).map_or_else(|| "no loss".to_owned(), |least| format!("least {least:.3}"));
        let middle = Lettering::new(6.5).anchor(Anchor::Middle);
        let name = format!("{}, {least}", encoder(base_model, "-"));
        drawing.text((f64::midpoint(from, to), top + 15.0), &name, middle);
        drawing.line((from, top + 20.5), (to, top + 20.5), Stroke::new(Colour::RULE, 0.5));
        for (row, batch_size) in levels.batch_sizes.iter().enumerate() {
            for (column, bce_weight) in levels.bce_weights.iter().enumerate() {
                let at = (layout.x(half, column), first_row + layout.row_height() * real(row) + PANEL_HEAD);
                let title = format!("batch {batch_size}, BCE {bce_weight}");
                let centre = at.0 + layout.square * real(levels.rates.len()) / 2.0;
                drawing.text((centre, at.1 - 4.5), &title, Lettering::new(SMALL).anchor(Anchor::Middle));
                let own = |square: &&Square<'_>| {
                    let factors = &square.row.factors;
                    factors.base_model == *base_model
                        && factors.batch_size == *batch_size
                        && factors.bce_weight == *bce_weight
                };
                let squares: Vec<&Square<'_>> = block.squares.iter().filter(own).collect();
                draw_panel(drawing, &squares, levels, parameters, layout.square, at);
                if half == 0 && column == 0 {
                    gamma_axis(drawing, levels, layout.square, at);
                }
            }
        }
        let bottom = first_row + layout.row_height() * real(levels.batch_sizes.len()) - PANEL_GAP / 2.0;
        for column in 0..levels.bce_weights.len() {
            rate_axis(drawing, levels, layout.square, (layout.x(half, column), bottom));
        }
        let name = "learning rate \u{d7} 1000";
        drawing.text((f64::midpoint(from, to), bottom + 15.5), name, Lettering::new(6.0).anchor(Anchor::Middle));
    }
}

/// One panel with its upper left corner at `at`.
fn draw_panel(
    drawing: &mut Drawing,
    squares: &[&Square<'_>],
    levels: &Levels<'_>,
    parameters: &Parameters,
    side: f64,
    at: CanvasPoint,
) {
    let place = |list: &[f64], value: f64| list.iter().position(|level| *level == value).unwrap_or(0);
    let gammas = levels.gammas.len();
    let corner = |square: &Square<'_>| {
        let (x, y) = (place(&levels.rates, square.row.factors.lr), place(&levels.gammas, square.row.factors.gamma));
        (at.0 + side * real(x), at.1 + side * real(gammas - 1 - y))
    };
    let (width, height) = (side * real(levels.rates.len()), side * real(gammas));
    let mut painted = squares.to_vec();
    painted.sort_by(|a, b| {
        b.row.factors.gamma.total_cmp(&a.row.factors.gamma).then(a.row.factors.lr.total_cmp(&b.row.factors.lr))
    });
    for square in painted {
        let (x, y) = corner(square);
        match square.value {
            Some(value) => {
                let share = (value - parameters.low) / (parameters.high - parameters.low);
                // Towards the right and below a little larger, so that no light seam is between neighbours; they are
                // painted later.
                let (right, below) = (at.0 + width - x, at.1 + height - y);
                drawing.rectangle((x, y), (side + SEAM).min(right), (side + SEAM).min(below), 0.0, hot(share));
            }
            None => {
                drawing.rectangle((x, y), side, side, 0.0, Colour::FAINT);
                let (low, high) = (side * 0.3, side * 0.7);
                let cross =
                    [vec![(x + low, y + low), (x + high, y + high)], vec![(x + low, y + high), (x + high, y + low)]];
                drawing.lines(&cross, Stroke::new(Colour::QUIET, 0.5));
            }
        }
    }
    drawing.frame(at, width, height, Stroke::new(Colour::INK, 0.4));
    for square in squares.iter().filter(|square| square.is_least && parameters.star) {
        let (x, y) = corner(square);
        star(drawing, (x + side / 2.0, y + side / 2.0), side * 0.36);
    }
}

/// A white star of five points with a dark edge.
fn star(drawing: &mut Drawing, centre: CanvasPoint, radius: f64) {
    let corner = |index: u32| {
        let reach = if index.is_multiple_of(2) { radius } else { radius * 0.382 };
        let (sin, cos) = libm::sincos((f64::from(index) * 36.0 - 90.0).to_radians());
        (centre.0 + reach * cos, centre.1 + reach * sin)
    };
    let corners: Vec<CanvasPoint> = (0..10).map(corner).collect();
    drawing.polygon(&corners, Colour::WHITE);
    let around: Vec<CanvasPoint> = (0..=10).map(|index| corner(index % 10)).collect();
    drawing.lines(&[around], Stroke::new(Colour::INK, 0.35));
}

/// Labels of a panel's rows, to the left of it.
fn gamma_axis(drawing: &mut Drawing, levels: &Levels<'_>, side: f64, at: CanvasPoint) {
    let count = levels.gammas.len();
    for (index, gamma) in levels.gammas.iter().enumerate() {
        let y = at.1 + side * (real(count - 1 - index) + 0.5);
        drawing.text((at.0 - 3.0, y), &gamma.to_string(), Lettering::new(SMALL).anchor(Anchor::End));
    }
    let middle = Lettering::new(6.5).anchor(Anchor::Middle);
    drawing.text((at.0 - 21.0, at.1 + side * real(count) / 2.0), "\u{3b3}", middle);
}

/// Labels of a panel's columns, below it; every second one and so on where they would touch.
fn rate_axis(drawing: &mut Drawing, levels: &Levels<'_>, side: f64, at: CanvasPoint) {
    let labels: Vec<String> = levels.rates.iter().map(|rate| format!("{:.2}", rate * 1000.0)).collect();
    let widest = labels.iter().map(|label| text_width(label, SMALL)).fold(0.0, f64::max);
    let every = (1..=labels.len()).find(|every| side * real(*every) > widest + 1.0).unwrap_or(1);
    for (index, label) in labels.iter().enumerate().step_by(every) {
        let x = at.0 + side * (real(index) + 0.5);
        drawing.text((x, at.1 + 6.0), label, Lettering::new(SMALL).anchor(Anchor::Middle));
    }
}

/// Why a cell has no loss.
const WITHOUT_LOSS: [(GridCellState, &str); 4] = [
    (GridCellState::Diverged, "diverged"),
    (GridCellState::Missing, "missing"),
    (GridCellState::Doubled, "there twice"),
    (GridCellState::WithoutLoss, "without an epoch that counts"),
];

/// What squares, stars and crosses are, in sentences.
fn notes(blocks: &[Block<'_>], parameters: &Parameters) -> Vec<String> {
    let squares = || blocks.iter().flat_map(|block| &block.squares);
    let with_loss = || squares().filter_map(|square| Some((square.row, square.value?)));
    let range = |of: fn(&CellRow) -> usize| {
        let (least, most) = (with_loss().map(|(row, _)| of(row)).min(), with_loss().map(|(row, _)| of(row)).max());
        match (least.unwrap_or(0), most.unwrap_or(0)) {
            (least, most) if least == most => most.to_string(),
            (least, most) => format!("{least} to {most}"),
        }
    };
    let mut notes = vec![format!(
        "A square is a cell of the grid: {} validation Dice loss over {} iterations, each from fresh weights, to three \
         decimals; BCE is the share of cross-entropy in the loss of the first round, \u{3b3} the factor on the learning \
         rate after each epoch.",
        parameters.value.words(),
        range(|row| row.iterations),
    )];
    if parameters.star {
        notes.push("Star: equal to the least of its inputs and encoder.".to_owned());
    }
    let without: Vec<GridCellState> =
        squares().filter(|square| square.value.is_none()).map(|square| square.row.state).collect();
    if !without.is_empty() {
        let causes: Vec<String> = WITHOUT_LOSS
            .iter()
            .map(|(state, words)| (without.iter().filter(|found| *found == state).count(), words))
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        let (count, all) = (without.len(), counted(squares().count(), "cell"));
        notes.push(format!("Crossed: {count} of {all} without a loss ({}).", causes.join(", ")));
    }
    let in_part = with_loss().filter(|(row, _)| row.diverged > 0).count();
    if in_part > 0 {
        notes.push(format!("Loss of fewer iterations, because others diverged: {}.", counted(in_part, "cell")));
    }
    let below = with_loss().filter(|(_, value)| *value < parameters.low).count();
    let above = with_loss().filter(|(_, value)| *value > parameters.high).count();
    if below + above > 0 {
        notes.push(format!(
            "{} below and {above} above the range of colours have the colour of its end.",
            counted(below, "cell")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use pipe_contract::Value;

    use super::*;
    use crate::grid::cell_table::FoundCell;
    use crate::grid::factors::tests::published;
    use crate::grid::factors::{CellFactors, Factors};
    use crate::test_support::figures::{assert_same_bytes_twice, attributes, look_at, place_of_text};
    use crate::test_support::tasks::{self, give, set, task};

    /// Losses that look like a search: best in the middle of the rates, worse with large batches.
    fn loss(number: usize, cell: &CellFactors) -> f64 {
        let rate = libm::log(cell.lr / 0.00375).powi(2) * 0.05;
        let inputs = if cell.inputs == "full" { 0.07 } else { 0.17 };
        let noise = f64::from(u32::try_from(number * 7919 % 101).unwrap()) / 101.0 * 0.03;
        inputs + rate + (cell.gamma - 0.9).abs() * 0.2 + f64::from(cell.batch_size) * 0.003 + noise
    }

    fn rows(grid: &Factors, without: &[usize]) -> Vec<CellRow> {
        let cells = (0..grid.count()).filter(|number| !without.contains(number)).map(|number| {
            let factors = grid.cell(number).unwrap();
            let losses = vec![loss(number, &factors), loss(number, &factors) + 0.01];
            FoundCell { place: String::new(), factors, until: 2, losses, diverged: 0, is_whole: true, subjects: 33 }
        });
        cell_table::rows(grid, cells.collect()).unwrap().0
    }

    fn parameters(inputs: &[&str], prediction: &str) -> Parameters {
        Parameters {
            inputs: inputs.iter().map(ToString::to_string).collect(),
            prediction: prediction.into(),
            value: ShownLoss::Min,
            low: 0.05,
            high: 0.4,
            star: true,
        }
    }

    fn small() -> Factors {
        Factors {
            lr: vec![0.00167, 0.00375, 0.00844],
            gamma: vec![0.9, 1.0],
            bce_weight: vec![0.75],
            batch_size: vec![2],
            inputs: vec!["anat".into()],
            prediction: vec!["area".into()],
            ..published()
        }
    }

    #[test]
    fn the_colours_are_those_of_the_published_map() {
        // matplotlib 3: cm.hot(x) in bytes.
        let known = [(0.0, (11, 0, 0)), (0.365_079, (255, 0, 0)), (0.746_032, (255, 255, 0)), (1.0, (255, 255, 255))];
        for (share, (red, green, blue)) in known {
            assert_eq!(hot(share), Colour::rgb(red, green, blue), "{share}");
        }
        assert_eq!((hot(-1.0), hot(2.0)), (hot(0.0), hot(1.0)));
    }

    #[test]
    fn stars_are_on_every_cell_that_equals_the_least_of_its_encoder() {
        let mut rows = rows(&published(), &[]);
        let is_shown = |row: &&mut CellRow| row.factors.inputs == "anat" && row.factors.prediction == "area";
        for (at, row) in rows.iter_mut().filter(is_shown).enumerate() {
            // Two cells of the first encoder are equal after rounding, not before; one of the second is the least.
            let min = match at {
                0 => 0.0804,
                2 => 0.0796,
                5 => 0.0604,
                _ => 0.3,
            };
            row.losses = CellLosses::of(&[min]);
        }
        let parameters = parameters(&["anat"], "area");
        let blocks = blocks(&rows, &parameters).unwrap();
        let stars: Vec<usize> =
            blocks[0].squares.iter().enumerate().filter(|(_, s)| s.is_least).map(|(at, _)| at).collect();
        assert_eq!(stars, [0, 2, 5]);
        assert_eq!(blocks[0].line("area"), "[anat:area]  ResNet18: 0.08;  ResNet34: 0.06");
    }

    #[test]
    fn all_is_within_a_page_and_no_text_is_smaller_than_five_points() {
        for (grid, inputs) in [(published(), vec!["anat", "full"]), (small(), vec!["anat"])] {
            let rows = rows(&grid, &[]);
            let parameters = parameters(&inputs, "area");
            let drawing = draw(&blocks(&rows, &parameters).unwrap(), &parameters, true);
            assert!(drawing.width() <= 183.0 / 25.4 * 72.0 + 1e-9 && drawing.height() < 247.0 / 25.4 * 72.0);
            let svg = drawing.svg();
            let rows = ["batch 2,", "batch 4,", "batch 6,"].map(|title| svg.find(title));
            assert!(rows.is_sorted() || rows[1..] == [None, None], "the smallest batches are on top: {rows:?}");
            let sizes: Vec<f64> = svg
                .split("font-size=\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
                .collect();
            assert!(sizes.len() > 20 && sizes.iter().all(|size| *size >= 5.0), "{sizes:?}");
            let rects =
                svg.split("<rect x=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap());
            assert!(rects.into_iter().all(|x| x >= 0.0 && x < drawing.width()));
        }
    }

    #[test]
    fn each_of_the_five_numbers_can_be_shown() {
        let losses = CellLosses { min: 0.1, mean: 0.2, median: 0.3, std: 0.0456, max: 0.5 };
        let all = [ShownLoss::Min, ShownLoss::Mean, ShownLoss::Median, ShownLoss::Std, ShownLoss::Max];
        assert_eq!(all.map(|shown| shown.of(&losses)), [0.1, 0.2, 0.3, 0.046, 0.5]);
    }

    /// Rates go to the right and gamma upwards, in the squares as in the names beside them; colours go from `low` to `high`.
    #[test]
    fn every_square_lies_where_its_axes_say() {
        let grid = Factors { base_model: vec!["resnet18".into()], ..small() };
        let mut rows = rows(&grid, &[]);
        for row in &mut rows {
            row.losses = CellLosses::of(&[0.2 + 0.05 * real(row.number)]);
        }
        let parameters = Parameters { low: 0.15, high: 0.5, star: false, ..parameters(&["anat"], "area") };
        let svg = draw(&blocks(&rows, &parameters).unwrap(), &parameters, false).svg();
        let place = |words: &str| place_of_text(&svg, |text| text == words);
        let side = Layout::of(&blocks(&rows, &parameters).unwrap()).square;
        for row in &rows {
            let colour = hot((0.05 + 0.05 * real(row.number)) / 0.35).hex();
            let square =
                svg.split("<rect").skip(1).find(|rect| rect.split("/>").next().unwrap().contains(&colour)).unwrap();
            let [x, y] = ["x", "y"].map(|name| attributes(&format!("<rect{square}"), "<rect", name)[0] + side / 2.0);
            let (rate, gamma) =
                (place(&format!("{:.2}", row.factors.lr * 1000.0)), place(&row.factors.gamma.to_string()));
            assert!((rate.0 - x).abs() < 0.1 && (gamma.1 - y).abs() < 0.1, "{row:?}: {x} {y}, {rate:?} {gamma:?}");
        }
        let x = ["1.67", "3.75", "8.44"].map(|rate| place(rate).0);
        assert!(x.is_sorted() && place("1").1 < place("0.9").1);
        let star = "Z\" fill=\"#ffffff\"";
        assert!(!svg.contains(star) && !svg.contains("Star:"), "no stars were asked for");
        let starred = Parameters { star: true, ..parameters };
        assert_eq!(draw(&blocks(&rows, &starred).unwrap(), &starred, false).svg().matches(star).count(), 1);
    }

    #[test]
    fn cells_without_a_loss_are_crossed_and_counted() {
        let mut rows = rows(&published(), &[450, 451, 600]);
        (rows[451].state, rows[451].diverged, rows[452].diverged) = (GridCellState::Diverged, 2, 1);
        let parameters = parameters(&["anat"], "area");
        let blocks = blocks(&rows, &parameters).unwrap();
        let notes = notes(&blocks, &parameters).join("\n");
        assert!(notes.contains("Crossed: 3 of 450 cells without a loss (1 diverged, 2 missing)."), "{notes}");
        assert!(notes.contains("Loss of fewer iterations, because others diverged: 1 cell."), "{notes}");
        assert!(notes.contains("least validation Dice loss over 2 iterations"), "{notes}");
        let svg = draw(&blocks, &parameters, false).svg();
        assert_eq!(svg.matches(&Colour::FAINT.hex()).count(), 3);
        assert!(!svg.contains("SIMULATED"));
    }

    #[test]
    fn what_is_not_in_the_grid_is_named() {
        let rows = rows(&small(), &[]);
        let parameters = parameters(&["func"], "area");
        let failure = blocks(&rows, &parameters).err().unwrap();
        assert_eq!(failure.message, "the grid has no cells of inputs `func` and prediction `area`");
        assert_eq!(failure.hint.as_deref(), Some("it has cells of anat and area"));
    }

    #[test]
    fn the_table_beside_the_figure_has_what_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let rows = rows(&small(), &[4]);
        cell_table::write(&folder.path().join("cells"), &rows, true).unwrap();
        let mut task = task(&HeatMaps, folder.path());
        task.simulated = true;
        give(&mut task, "cells", &folder.path().join("cells"));
        set(&mut task, "inputs", Value::List(vec![Value::Text("anat".into())]));
        set(&mut task, "prediction", Value::Text("area".into()));
        assert_eq!(tasks::aggregated(&HeatMaps, &task).unwrap()["figure"], 33);
        let csv = fs::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert_eq!(csv.lines().count(), 13);
        assert!(csv.contains("\n4,resnet18,0.00844,0.9,0.75,2,anat,area,missing,,false,true\n"), "{csv}");
        assert_eq!(csv.matches(",true,true\n").count(), 2, "{csv}");
        set(&mut task, "low", Value::Float(0.4));
        assert!(tasks::run(&HeatMaps, &task).unwrap_err().message.contains("expected `low` below `high`"));
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        let rows = rows(&small(), &[1]);
        let parameters = parameters(&["anat"], "area");
        assert_same_bytes_twice(|| draw(&blocks(&rows, &parameters).unwrap(), &parameters, true));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        let published = published();
        for (name, grid, inputs) in [
            ("grid_anat", &published, vec!["anat"]),
            ("grid_both", &published, vec!["anat", "full"]),
            ("grid_small", &small(), vec!["anat"]),
        ] {
            let mut rows = rows(grid, &[450, 601, 3]);
            (rows[3].state, rows[5].diverged) = (GridCellState::Diverged, 1);
            let parameters = parameters(&inputs, "area");
            look_at(name, || draw(&blocks(&rows, &parameters).unwrap(), &parameters, grid.count() < 100));
        }
    }
}
