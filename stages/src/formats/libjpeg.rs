//! JPEG files through libjpeg (mozjpeg, whose decoder is that of libjpeg-turbo): the calls in C, and their errors as text.
//!
//! Decides that a warning ends decoding like an error: libjpeg warns where data are missing or damaged, and goes on with pixels that it made
//! up. It ends where it reports by unwinding, which stops in [`with_messages`]. Independent of what pixels mean and how large a picture may
//! be: nothing of the size of the picture is allocated before [`OpenJpeg::pixels`].

use std::ffi::{c_int, c_ulong};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg_sys::{
    J_COLOR_SPACE, jpeg_common_struct, jpeg_create_decompress, jpeg_decompress_struct, jpeg_destroy_decompress,
    jpeg_error_mgr, jpeg_finish_decompress, jpeg_mem_src, jpeg_read_header, jpeg_read_scanlines, jpeg_start_decompress,
    jpeg_std_error,
};

/// How many bytes libjpeg writes a message into.
const MESSAGE: usize = 80;
/// What is said where libjpeg says nothing.
const SENSELESS: &str = "its compressed data make no sense";

/// A JPEG file whose header is read.
pub struct OpenJpeg<'file> {
    /// Allocated by `Box`, and freed with its handlers when this is dropped; libjpeg keeps addresses of both.
    state: *mut jpeg_decompress_struct,
    handlers: *mut jpeg_error_mgr,
    file: PhantomData<&'file [u8]>,
}

impl<'file> OpenJpeg<'file> {
    /// Reads up to the pixels.
    ///
    /// # Errors
    /// What libjpeg reports: it is not a JPEG file, damaged, or of a form that is not supported.
    pub fn new(file: &'file [u8]) -> Result<Self, String> {
        let length = c_ulong::try_from(file.len()).map_err(|_| SENSELESS.to_owned())?;
        let mut opened = Self {
            // SAFETY: a structure of numbers, pointers and enumerations, for all of which zeros are valid.
            state: Box::into_raw(Box::new(unsafe { std::mem::zeroed() })),
            handlers: Box::into_raw(Box::new(strict_handlers())),
            file: PhantomData,
        };
        let handlers = opened.handlers;
        let state = opened.state();
        state.common.err = handlers;
        let header = with_messages(|| {
            // SAFETY: state and handlers stay where they are until this is dropped, and the file outlives this.
            unsafe {
                jpeg_create_decompress(state);
                jpeg_mem_src(state, file.as_ptr(), length);
                // A file without a picture is an error.
                jpeg_read_header(state, 1)
            }
        });
        header.map(|_| opened)
    }

    fn state(&mut self) -> &mut jpeg_decompress_struct {
        // SAFETY: made in `new`, freed when this is dropped, and lent only as long as this is.
        unsafe { &mut *self.state }
    }

    /// Columns and rows.
    pub fn size(&mut self) -> (usize, usize) {
        let state = self.state();
        (state.image_width as usize, state.image_height as usize)
    }

    /// Its pixels are amounts of cyan, magenta, yellow and black.
    pub fn has_inks(&mut self) -> bool {
        matches!(self.state().jpeg_color_space, J_COLOR_SPACE::JCS_CMYK | J_COLOR_SPACE::JCS_YCCK)
    }

    /// The bytes of all pixels by rows: red, green and blue, or four inks as they are stored.
    ///
    /// # Errors
    /// What libjpeg reports: data are missing or damaged, or of a form that is not supported.
    pub fn pixels(mut self) -> Result<Vec<u8>, String> {
        let (width, height) = self.size();
        let (space, channels) =
            if self.has_inks() { (J_COLOR_SPACE::JCS_CMYK, 4) } else { (J_COLOR_SPACE::JCS_RGB, 3) };
        let state = self.state();
        state.out_color_space = space;
        with_messages(move || {
            // SAFETY: the header is read.
            unsafe { jpeg_start_decompress(state) };
            let written = (state.output_width as usize, state.output_height as usize, state.output_components as usize);
            assert_eq!(written, (width, height, channels), "libjpeg gives other rows than it was asked for");
            let mut pixels = vec![0; width * height * channels];
            for row in pixels.chunks_exact_mut(width * channels) {
                let mut start = row.as_mut_ptr();
                // SAFETY: decoding has started, and one row has as many bytes as was compared above.
                let rows = unsafe { jpeg_read_scanlines(state, &raw mut start, 1) };
                assert_eq!(rows, 1, "libjpeg gives no row, although the whole file is there");
            }
            // SAFETY: all rows are read; what follows them is looked at.
            unsafe { jpeg_finish_decompress(state) };
            pixels
        })
    }
}

impl Drop for OpenJpeg<'_> {
    fn drop(&mut self) {
        // SAFETY: frees what libjpeg allocated, which may be nothing yet; it reports no error.
        unsafe { jpeg_destroy_decompress(self.state()) };
        // SAFETY: both are of `Box::into_raw`, and nothing uses them any more.
        unsafe {
            drop(Box::from_raw(self.state));
            drop(Box::from_raw(self.handlers));
        }
    }
}

/// Handlers that end decoding at the first error or warning.
fn strict_handlers() -> jpeg_error_mgr {
    // SAFETY: a structure of numbers, pointers and optional functions, for all of which zeros are valid; libjpeg fills it in.
    let mut handlers = unsafe { std::mem::zeroed() };
    // SAFETY: writes into that structure only.
    unsafe { jpeg_std_error(&mut handlers) };
    handlers.error_exit = Some(end_with_message);
    handlers.emit_message = Some(end_at_warning);
    handlers
}

/// The result of calls of libjpeg, or the message with which it ended them.
fn with_messages<T>(calls: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(calls))
        .map_err(|payload| payload.downcast::<String>().map_or_else(|_| SENSELESS.to_owned(), |message| *message))
}

/// Negative levels are warnings; the others describe what is read.
extern "C-unwind" fn end_at_warning(state: &mut jpeg_common_struct, level: c_int) {
    if level < 0 {
        end_with_message(state);
    }
}

extern "C-unwind" fn end_with_message(state: &mut jpeg_common_struct) {
    let message = message(state).unwrap_or_else(|| SENSELESS.to_owned());
    // Not a panic: nothing is printed.
    resume_unwind(Box::new(message));
}

fn message(state: &mut jpeg_common_struct) -> Option<String> {
    type Declared = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &[u8; MESSAGE]);
    type Format = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &mut [u8; MESSAGE]);
    // SAFETY: the handlers that libjpeg calls this through; they exist as long as its state.
    let format = unsafe { state.err.as_ref() }?.format_message?;
    // SAFETY: the same function; it writes into the text, which its declaration in Rust does not say.
    let format = unsafe { std::mem::transmute::<Declared, Format>(format) };
    let mut text = [0; MESSAGE];
    // SAFETY: libjpeg writes at most 80 bytes, of which the last is 0.
    unsafe { format(state, &mut text) };
    Some(String::from_utf8_lossy(text.split(|byte| *byte == 0).next()?).into_owned())
}
