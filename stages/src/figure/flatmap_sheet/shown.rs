//! What a flat map shows of one map: its title, the values of the pixels of cortex, and what is said of them in the table.
//!
//! Independent of colours and drawings.

use pipe_contract::{Coordinates, Failure};

use crate::formats::cortical_map::MapValues;
use crate::numeric::counts::real;

/// One map as it is sampled.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Its title in the figure.
    pub title: String,
    /// Its coordinates, as `axis=coordinate, ...`.
    pub at: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// The names of the categories 0, 1, ...; none of a map of numbers.
    pub categories: Vec<String>,
    /// The limits that the map itself asks for.
    pub limits: Option<(f64, f64)>,
    /// A value for every pixel of cortex, by rows from the top; NaN where there is none.
    pub pixels: Vec<f32>,
    /// The values of the voxels or vertices of the map; NaN where there is none.
    pub units: ShownUnits,
}

/// Values as the map has them, before any sampling.
#[derive(Clone, Debug)]
pub(super) struct ShownUnits {
    /// `voxels` or `vertices`.
    pub word: &'static str,
    /// How many have a value.
    pub count: usize,
    /// How many have each category.
    pub of_categories: Vec<usize>,
}

impl ShownUnits {
    /// Counts values.
    pub(super) fn count(word: &'static str, categories: usize, values: impl IntoIterator<Item = f32>) -> Self {
        let mut units = Self { word, count: 0, of_categories: vec![0; categories] };
        for value in values.into_iter().filter(|value| !value.is_nan()) {
            units.count += 1;
            if let Some(count) = category(value).and_then(|category| units.of_categories.get_mut(category)) {
                *count += 1;
            }
        }
        units
    }
}

/// The category that a value means: the nearest whole number, which is not whole where categories were averaged.
fn category(value: f32) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; a cast saturates")]
    (value > -0.5).then(|| value.round() as usize)
}

/// Numbers of a list in which some are missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShownSummary {
    /// How many there are.
    pub count: usize,
    /// The least, the median and the largest; `None` without a number.
    pub range: Option<[f64; 3]>,
}

impl Shown {
    /// The values that pixels have.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        self.pixels.iter().filter(|value| !value.is_nan()).map(|value| f64::from(*value))
    }

    /// About the pixels that have a value.
    pub(super) fn summary(&self) -> ShownSummary {
        let mut values: Vec<f64> = self.values().collect();
        let range = (!values.is_empty()).then(|| [0.0, 0.5, 1.0].map(|share| quantile(&mut values, share)));
        ShownSummary { count: values.len(), range }
    }

    /// How many pixels have each category.
    pub(super) fn pixels_of_categories(&self) -> Vec<usize> {
        let mut counts = vec![0; self.categories.len()];
        for value in self.pixels.iter().filter(|value| !value.is_nan()) {
            if let Some(count) = category(*value).and_then(|category| counts.get_mut(category)) {
                *count += 1;
            }
        }
        counts
    }
}

/// The quantile as numpy has it by default, without sorting all: reorders the values. They are finite and at least one.
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * real(values.len() - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let below = place.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*low);
    *low + (place - real(below)) * (next - *low)
}

/// The values of the first and the last colour: those given, else those between percentiles of all values; made symmetric about 0 if that is
/// asked for. Equal limits are moved apart by 1, so that a constant map has the colour of the middle.
pub(super) fn limits(
    given: Option<(f64, f64)>,
    shown: &[&Shown],
    percentiles: (f64, f64),
    symmetric: bool,
) -> (f64, f64) {
    let found = given.unwrap_or_else(|| {
        let mut values: Vec<f64> = shown.iter().flat_map(|shown| shown.values()).collect();
        match values.is_empty() {
            true => (0.0, 1.0),
            false => (quantile(&mut values, percentiles.0 / 100.0), quantile(&mut values, percentiles.1 / 100.0)),
        }
    });
    let far = found.0.abs().max(found.1.abs());
    let (low, high) = if symmetric { (-far, far) } else { found };
    if low < high { (low, high) } else { (low - 0.5, high + 0.5) }
}

/// How opaque maps are where another map is low.
#[derive(Debug)]
pub(super) struct Fade {
    /// Of every pixel of cortex, 0 to 1; 0 where the map has no value.
    pub shares: Vec<f64>,
    /// The values at which a pixel is transparent and opaque.
    pub limits: (f64, f64),
    /// The title of that map; may be empty.
    pub title: String,
}

impl Fade {
    /// By the limits given, else those of the map, else percentiles of it.
    ///
    /// # Errors
    /// Input: the map has categories.
    pub(super) fn of(shown: &Shown, given: Option<(f64, f64)>, percentiles: (f64, f64)) -> Result<Self, Failure> {
        if !shown.categories.is_empty() {
            return Err(Failure::input("found categories as `opacity`, expected a map of numbers"));
        }
        let (low, high) = limits(given.or(shown.limits), &[shown], percentiles, false);
        let share = |value: &f32| match value.is_nan() {
            true => 0.0,
            false => ((f64::from(*value) - low) / (high - low)).clamp(0.0, 1.0),
        };
        let shares = shown.pixels.iter().map(share).collect();
        Ok(Self { shares, limits: (low, high), title: shown.title.clone() })
    }
}

/// Two numbers of a parameter as limits; `None` of none.
///
/// # Errors
/// Input: another number of them, or the first is not less than the second.
pub(super) fn two(name: &str, values: &[f64]) -> Result<Option<(f64, f64)>, Failure> {
    match *values {
        [] => Ok(None),
        [low, high] if low < high => Ok(Some((low, high))),
        [low, high] => {
            Err(Failure::input(format!("found {low} and {high} as `{name}`, expected the first to be less")))
        }
        _ => Err(Failure::input(format!("found {} numbers as `{name}`, expected two", values.len()))),
    }
}

/// The title of a map: `template` with `{axis}` and `{title}` filled in; without one the map's own title, or its coordinates.
///
/// # Errors
/// Input: the template names an axis that the map does not have.
pub(super) fn title(template: &str, own: &str, at: &Coordinates) -> Result<String, Failure> {
    if template.is_empty() {
        let coordinates = at.iter().map(|(axis, coordinate)| format!("{axis} {coordinate}"));
        return Ok(if own.is_empty() { coordinates.collect::<Vec<_>>().join(", ") } else { own.to_owned() });
    }
    let mut rest = template;
    let mut title = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        let value = if name == "title" { Some(own) } else { at.get(name).map(String::as_str) };
        let value = value.ok_or_else(|| {
            let axes: Vec<&str> = at.keys().map(String::as_str).chain(["title"]).collect();
            Failure::input(format!("found `{{{name}}}` in `map_title`, expected an axis of `maps` or `title`"))
                .hint(format!("there are {}", axes.join(", ")))
        })?;
        title.push_str(before);
        title.push_str(value);
        rest = after;
    }
    title.push_str(rest);
    Ok(title)
}

/// Maps that have the same title also have their coordinates in it.
pub(super) fn distinguish(maps: &mut [Shown]) {
    let titles: Vec<String> = maps.iter().map(|shown| shown.title.clone()).collect();
    for shown in maps {
        let same = titles.iter().filter(|title| **title == shown.title).count() > 1;
        if same && !shown.at.is_empty() {
            shown.title = format!("{} ({})", shown.title, shown.at.replace('=', " "));
        }
    }
}

/// The exercise's title of a part of variance: recognised by the map's own title, else by its coordinates.
pub(super) fn lab_title(own: &str, at: &str) -> String {
    let value = |pair: &str| pair.split_once('=').map_or(pair, |(_, value)| value).to_owned();
    let coordinates = at.split(", ").map(value).collect::<Vec<String>>().join(" ");
    lab_words(own).or_else(|| lab_words(&coordinates)).unwrap_or_else(|| own.to_owned())
}

/// The exercise's title of a part that such words are about; what else there is names the space.
fn lab_words(words: &str) -> Option<String> {
    let has =
        |word: &str| words.split(|letter: char| !letter.is_alphanumeric()).any(|part| part.eq_ignore_ascii_case(word));
    let skipped = ["unique", "part", "spaces", "space", "variance", "sources", "of"];
    match () {
        () if has("unique") => {
            let parts = words.split([' ', ',', ':', '=']).filter(|part| !part.is_empty());
            let rest = parts.filter(|part| !skipped.iter().any(|skip| part.eq_ignore_ascii_case(skip)));
            Some(format!("Unique Variance: {} layer", rest.collect::<Vec<_>>().join(" ")))
        }
        () if has("shared") => Some("Shared Variance".to_owned()),
        () if has("total") || has("joint") => Some("Combined A+B model performance".to_owned()),
        () => None,
    }
}

/// Makes infinite values missing ones: they have no colour, and no limit or median could be found beside them. R2 of a constant response
/// is one.
pub(super) fn forget_infinite(values: &mut MapValues) {
    let lists: Vec<&mut Vec<f32>> = match values {
        MapValues::Volume { values, .. } => vec![values],
        MapValues::Vertices(hemispheres) => hemispheres.iter_mut().map(|(_, values)| values).collect(),
    };
    lists.into_iter().flatten().filter(|value| value.is_infinite()).for_each(|value| *value = f32::NAN);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::hemisphere::Hemisphere;

    /// A map of numbers without more than a title.
    pub fn numbers(title: &str, pixels: Vec<f32>) -> Shown {
        let units = ShownUnits::count("voxels", 0, pixels.iter().copied());
        Shown {
            title: title.to_owned(),
            at: String::new(),
            unit: "R²".to_owned(),
            categories: Vec::new(),
            limits: None,
            pixels,
            units,
        }
    }

    #[test]
    fn values_are_summed_up_without_those_that_are_missing() {
        let shown = numbers("", vec![3.0, f32::NAN, 1.0, 2.0, 10.0]);
        assert_eq!(shown.summary(), ShownSummary { count: 4, range: Some([1.0, 2.5, 10.0]) });
        assert_eq!(numbers("", vec![f32::NAN]).summary(), ShownSummary { count: 0, range: None });
    }

    #[test]
    fn another_map_says_how_opaque_pixels_are() {
        let other = Shown { limits: Some((0.0, 4.0)), ..numbers("Ceiling", vec![-1.0, f32::NAN, 1.0, 9.0]) };
        let fade = Fade::of(&other, None, (2.0, 98.0)).unwrap();
        assert_eq!((fade.shares, fade.limits), (vec![0.0, 0.0, 0.25, 1.0], (0.0, 4.0)));
        assert_eq!(Fade::of(&other, Some((0.0, 2.0)), (2.0, 98.0)).unwrap().shares[2], 0.5);
        let best = Shown { categories: vec!["a".to_owned()], ..other };
        let failure = Fade::of(&best, None, (2.0, 98.0)).unwrap_err();
        assert_eq!(failure.message, "found categories as `opacity`, expected a map of numbers");
    }

    #[test]
    fn infinite_values_are_missing_ones() {
        let mut values =
            MapValues::Vertices(vec![(Hemisphere::Left, vec![0.5, f32::NEG_INFINITY, f32::INFINITY, f32::NAN])]);
        forget_infinite(&mut values);
        let MapValues::Vertices(hemispheres) = values else { panic!("vertices stay vertices") };
        let shown = numbers("", hemispheres[0].1.clone());
        assert_eq!(shown.summary(), ShownSummary { count: 1, range: Some([0.5; 3]) });
        assert_eq!(limits(None, &[&shown], (2.0, 98.0), false), (0.0, 1.0), "around the only value");
    }

    #[test]
    fn the_published_titles_are_made_from_the_parts() {
        for (own, at, title) in [
            ("unique conv1", "", "Unique Variance: conv1 layer"),
            ("Unique: early", "map=early", "Unique Variance: early layer"),
            ("part unique, spaces conv4", "", "Unique Variance: conv4 layer"),
            ("Own", "part=unique, spaces=conv4", "Unique Variance: conv4 layer"),
            ("shared conv1+conv4", "", "Shared Variance"),
            ("total conv1+conv4", "", "Combined A+B model performance"),
            ("All spaces together", "map=total", "Combined A+B model performance"),
            ("Best layer", "map=best", "Best layer"),
        ] {
            assert_eq!(lab_title(own, at), title);
        }
    }

    #[test]
    fn equal_titles_have_their_coordinates() {
        let mut maps = ["A", "B", "A"].map(|title| numbers(title, vec![]));
        maps[0].at = "space=x".to_owned();
        maps[2].at = "space=y".to_owned();
        distinguish(&mut maps);
        assert_eq!(maps.map(|shown| shown.title), ["A (space x)", "B", "A (space y)"]);
    }

    #[test]
    fn categories_are_counted_in_pixels_and_in_units() {
        let pixels = vec![0.0, 1.0, 1.0, f32::NAN, 2.0, 7.0];
        let units = ShownUnits::count("voxels", 3, [0.0, 0.0, 2.0, f32::NAN]);
        assert_eq!((units.count, &units.of_categories[..]), (3, &[2, 0, 1][..]));
        let shown = Shown { categories: ["a", "b", "c"].map(str::to_owned).to_vec(), units, ..numbers("", pixels) };
        assert_eq!(shown.pixels_of_categories(), [1, 2, 1]);
    }

    #[test]
    fn limits_are_given_or_percentiles_and_may_be_symmetric() {
        let shown = numbers("", (0..=100_u8).map(f32::from).collect());
        assert_eq!(limits(None, &[&shown], (10.0, 90.0), false), (10.0, 90.0));
        assert_eq!(limits(None, &[&shown], (10.0, 90.0), true), (-90.0, 90.0));
        assert_eq!(limits(Some((0.0, 0.4)), &[&shown], (10.0, 90.0), false), (0.0, 0.4));
        assert_eq!(limits(None, &[&numbers("", vec![2.0, 2.0])], (2.0, 98.0), false), (1.5, 2.5));
        assert_eq!(limits(None, &[&numbers("", vec![])], (2.0, 98.0), false), (0.0, 1.0));
        assert_eq!(two("limits", &[]).unwrap(), None);
        assert_eq!(two("limits", &[0.0, 0.4]).unwrap(), Some((0.0, 0.4)));
        assert_eq!(two("limits", &[1.0]).unwrap_err().message, "found 1 numbers as `limits`, expected two");
        assert!(two("limits", &[1.0, 1.0]).unwrap_err().message.contains("expected the first to be less"));
    }

    #[test]
    fn titles_are_the_maps_own_their_coordinates_or_a_template() {
        let at: Coordinates = [("part", "unique"), ("space", "conv1")].into_iter().collect();
        assert_eq!(title("", "Own", &at).unwrap(), "Own");
        assert_eq!(title("", "", &at).unwrap(), "part unique, space conv1");
        assert_eq!(title("Unique Variance: {space} layer", "", &at).unwrap(), "Unique Variance: conv1 layer");
        assert_eq!(title("{title} ({part}) {", "Own", &at).unwrap(), "Own (unique) {");
        let failure = title("{layer}", "", &at).unwrap_err();
        assert_eq!(failure.message, "found `{layer}` in `map_title`, expected an axis of `maps` or `title`");
        assert_eq!(failure.hint.as_deref(), Some("there are part, space, title"));
    }
}
