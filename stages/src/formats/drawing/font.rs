//! The one font of figures: compiled in, found by its name, and no other.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use resvg::usvg::{self, FontFamily, FontResolver, fontdb};

/// The family of the bundled font.
pub const FAMILY: &str = "Inter";

const FONT: &[u8] = include_bytes!("font/Inter-Regular.ttf");

/// Fonts for programs that ignore the font inside the file, as many editors do; metrics differ, the words stay readable.
pub(super) const FALLBACKS: &str = "Helvetica, Arial, sans-serif";

/// The style element that brings the font into an SVG file.
pub(super) fn style() -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(FONT);
    format!(
        "<style>@font-face {{ font-family: \"{FAMILY}\"; src: url(\"data:font/ttf;base64,{data}\") format(\"truetype\"); }}</style>\n"
    )
}

fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        Arc::new(fonts)
    };
    FONTS.get_or_init(load).clone()
}

/// Only the bundled font, and only by its name.
pub(super) fn options() -> usvg::Options<'static> {
    let select_font: usvg::FontSelectionFn = Box::new(|font, fonts| {
        let named = font.families().iter().any(|family| matches!(family, FontFamily::Named(name) if name == FAMILY));
        let id = fonts.faces().next().map(|face| face.id);
        id.filter(|_| named)
    });
    let font_resolver = FontResolver { select_font, select_fallback: Box::new(|_, _, _| None) };
    usvg::Options { fontdb: fonts(), font_resolver, ..usvg::Options::default() }
}
