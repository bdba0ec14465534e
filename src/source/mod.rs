//! Where frames come from.

mod image_file;
mod jpeg;
mod listing;
mod test_pattern;

pub use image_file::PictureReader;
pub use listing::list_pictures;
pub use test_pattern::TestPattern;
