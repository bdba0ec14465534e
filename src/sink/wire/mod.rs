//! The frames that captions travel in over a serial line, byte for byte, and a decoder of them for the other end.
//!
//! Nothing here needs an operating system or a heap: the module stands on `core`, `heapless`, `postcard` and `serde` alone,
//! and `tests/receiver` makes it a `no_std` package for microcontrollers, `scenescribe-receiver`.
//!
//! ```
//! use scenescribe::sink::wire::{Decoder, Framing};
//!
//! let mut decoder = Decoder::<640>::new(Framing::Ascii);
//! for byte in *b"noise$SCAP,7,1700000000250,0.51,a brown dog*76\r\n" {
//!     match decoder.push(byte) {
//!         Some(Ok(message)) => assert_eq!((message.text, message.stamp.unwrap().sequence), ("a brown dog", 7)),
//!         Some(Err(fault)) => panic!("{fault}"),
//!         None => {}
//!     }
//! }
//! ```
//!
//! The line is 8 data bits, no parity, one stop bit, no flow control. All text is UTF-8, at most 512 bytes of it a caption.
//! Frames are independent: a receiver that joins late or loses bytes is right again with the next frame.
//!
//! # `line`
//! | bytes | |
//! |---|---|
//! | `unsure: ` | only if the confidence is below what was asked for |
//! | caption | control characters became spaces |
//! | `0A` | line feed |
//!
//! An empty line is no caption; one is sent, in `json` too, when a device is back that was lost in the middle of a line. There is no checksum: damage shows only where it makes bytes that are no UTF-8 or control characters.
//!
//! # `ascii`
//! Sentences in the manner of NMEA 0183, at most 82 characters each with the line end:
//!
//! | field | |
//! |---|---|
//! | `$SCAP,` | |
//! | `7` or `7:1/3` | sequence, decimal, 32 bits; if the caption is split, `:part/parts` from 1, at most 99 |
//! | `,1700000000250` | milliseconds since 1970-01-01 UTC, decimal, 64 bits |
//! | `,0.51` or `,0.18?` | confidence, two decimals; `?` if unsure |
//! | `,a brown dog` | caption, escaped |
//! | `*76` | exclusive or of all bytes between `$` and `*`, two hexadecimal digits |
//! | `0D 0A` | carriage return, line feed |
//!
//! In the caption each byte of UTF-8 that is not printable ASCII (`20` to `7E`), and each of `$ * , ! \ ^ ~`, is written as
//! `^` and two hexadecimal digits; an escape is never split. The parts of a caption come one after another, all with the
//! same sequence, time and confidence; their texts are joined without anything between, then unescaped. A caption of which
//! a part is missing or damaged is to be thrown away.
//!
//! # `json`
//! An object on a line, without a checksum:
//!
//! | key | |
//! |---|---|
//! | `sequence` | 32 bits |
//! | `time` | RFC 3339 in UTC with milliseconds, 24 characters: `2023-11-14T22:13:20.250Z` |
//! | `source` | where the frame came from |
//! | `caption` | the sentence |
//! | `confidence` | in \[0, 1\], four decimals |
//! | `unsure` | whether the confidence is below what was asked for |
//! | `cut` | whether the sentence was cut |
//! | `tokens` | indices into the model's vocabulary |
//! | `latency_ms` | `preprocess`, `encode`, `decode`, `total` |
//!
//! # `cobs`
//! A packet, stuffed (Consistent Overhead Byte Stuffing: no byte of it is 0), between two zero bytes: `00 stuffed 00`. Two
//! zero bytes with nothing between are no frame. The packet before stuffing, in the encoding of `postcard`:
//!
//! | bytes | |
//! |---|---|
//! | `01` | version of this table |
//! | 1 to 5 | sequence, varint: 7 bits a byte, low ones first, high bit set on all but the last |
//! | 1 to 10 | milliseconds since 1970-01-01 UTC, varint |
//! | 4 | confidence, IEEE 754 single, low byte first |
//! | 1 | 1 if unsure, else 0 |
//! | 1 to 2 | bytes of the caption, varint |
//! | n | caption |
//! | 4 | CRC-32 (IEEE 802.3, as in zlib) of all bytes above, low byte first |

mod cobs;
mod crc;
mod cursor;
mod decoder;
mod json;
mod line;
mod packet;
mod sentence;
mod time;

use core::fmt;

pub use decoder::Decoder;
pub use line::UNSURE_MARK;
pub use packet::encode_packet;
pub use sentence::encode_sentences;
pub use time::Timestamp;

/// How a report becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line of text.
    Line,
    /// Sentences in the manner of NMEA 0183.
    Ascii,
    /// A JSON object a line.
    Json,
    /// Packets with a CRC-32, between zero bytes.
    Cobs,
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message<'a> {
    /// The caption.
    pub text: &'a str,
    /// Whether the confidence is below what the sender was asked for.
    pub is_unsure: bool,
    /// What all framings but [`Framing::Line`] carry.
    pub stamp: Option<Stamp>,
}

/// A caption's place in the run of its sender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp {
    /// Counts the captions of a run from 0; a gap says that some were lost.
    pub sequence: u32,
    /// When the picture was taken, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// Mean token probability, in \[0, 1\].
    pub confidence: f32,
}

/// Why bytes gave no message; the next frame may be fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The checksum is not that of the bytes.
    Checksum,
    /// The bytes do not have the form of a frame.
    Malformed,
    /// A part of a split caption is missing.
    Incomplete,
    /// The frame has more bytes than the decoder has room for.
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "the checksum is wrong",
            Self::Malformed => "the bytes do not have the form of a frame",
            Self::Incomplete => "a part of the caption is missing",
            Self::TooLong => "the frame is longer than the decoder's buffer",
        })
    }
}

impl core::error::Error for Fault {}
