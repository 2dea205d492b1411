//! Which subjects the study of Benson, Song et al. (2025) is about, and the rule that leaves 18 out.
//!
//! 181 subjects have manual labels. The project of the labels lists (rater, subject, hemisphere) that are not to be used; where it
//! lists more than one rater for a hemisphere of a subject, the average of the raters is not to be used either, and such a subject
//! does not belong to the study. The study's program has the outcome as a list, which is [`EXCLUDED`]; `labels/cohort` applies the rule.

/// Subjects with manual labels that are not part of the study. Their relatives still count as relatives.
pub const EXCLUDED: [&str; 18] = [
    "125525", "131722", "134627", "144226", "148133", "169343", "177645", "178647", "182436", "192439", "214019",
    "251833", "644246", "706040", "833249", "861456", "943862", "951457",
];

/// How many subjects are part of it.
pub const SUBJECTS: usize = 163;
