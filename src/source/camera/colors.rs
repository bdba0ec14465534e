//! V4L2's words for colours.

use super::device::FourCc;
use crate::source::{ColorMatrix, ColorRange, ColorSpec};

/// The fields of `struct v4l2_pix_format` that say what the samples mean.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Colorimetry {
    pub color_space: u32,
    pub matrix: u32,
    pub range: u32,
}

/// What the driver says, with `V4L2_MAP_YCBCR_ENC_DEFAULT` and `V4L2_MAP_QUANTIZATION_DEFAULT` where it says "default".
pub(crate) fn color(fourcc: FourCc, said: Colorimetry) -> ColorSpec {
    const UNKNOWN_SPACE: u32 = 0;
    const JPEG_SPACE: u32 = 7;
    let is_high_definition = matches!(said.color_space, 3 | 12); // REC709, DCI_P3
    let matrix = match said.matrix {
        1 | 3 => Some(ColorMatrix::Bt601), // 601, XV601
        2 | 4 => Some(ColorMatrix::Bt709), // 709, XV709
        _ if said.color_space == UNKNOWN_SPACE => None,
        _ if is_high_definition => Some(ColorMatrix::Bt709),
        _ => Some(ColorMatrix::Bt601),
    };
    let range = match said.range {
        1 => Some(ColorRange::Full),
        2 => Some(ColorRange::Limited),
        // Sensors without colour use all values, whatever the default for YUV.
        _ if fourcc == *b"GREY" => Some(ColorRange::Full),
        _ if said.color_space == JPEG_SPACE => Some(ColorRange::Full),
        _ if said.color_space == UNKNOWN_SPACE => None,
        _ => Some(ColorRange::Limited),
    };
    ColorSpec { matrix, range }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_colour_space() {
        use {ColorMatrix::*, ColorRange::*};
        // (color space, matrix, range) of a webcam (sRGB), HD video, JPEG, a driver that knows nothing, one that says it.
        let cases = [
            (*b"YUYV", (8, 0, 0), (Some(Bt601), Some(Limited))),
            (*b"NV12", (3, 0, 0), (Some(Bt709), Some(Limited))),
            (*b"YUYV", (7, 0, 0), (Some(Bt601), Some(Full))),
            (*b"YUYV", (0, 0, 0), (None, None)),
            (*b"YUYV", (8, 2, 1), (Some(Bt709), Some(Full))),
            (*b"GREY", (8, 0, 0), (Some(Bt601), Some(Full))),
        ];
        for (fourcc, (color_space, matrix, range), expected) in cases {
            let color = color(fourcc, Colorimetry { color_space, matrix, range });
            assert_eq!((color.matrix, color.range), expected, "{color_space} {matrix} {range}");
        }
    }
}
