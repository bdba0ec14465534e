//! Any bytes to the serial decoder, in each framing: as they are, or as the content of frames whose checksums are right.
//!
//! The first byte chooses the framing (low two bits), whether frames are made right (bit 2), and the decoder's buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scenescribe::sink::wire::{Decoder, Framing, Message, Stamp, encode_packet, encode_sentences};
use scenescribe_fuzz::{Input, start, within};

/// The decoder itself allocates nothing; the target notes what it heard.
const BUDGET: usize = 4 << 20;

const LAST: Message =
    Message { text: "a dog", is_unsure: false, stamp: Some(Stamp { sequence: 7, time_ms: 8, confidence: 0.5 }) };

fuzz_target!(init: start(), |input: &[u8]| {
    let mut input = Input(input);
    let mode = input.byte();
    let framing = [Framing::Line, Framing::Ascii, Framing::Json, Framing::Cobs][usize::from(mode & 3)];
    let bytes = if mode & 4 == 0 { input.0.to_vec() } else { framed(framing, input) };
    within(BUDGET, || match mode >> 3 & 3 {
        0 => hear::<16>(framing, &bytes),
        1 => hear::<8192>(framing, &bytes),
        _ => hear::<640>(framing, &bytes),
    });
});

/// Whatever comes before, and however it ends, the next whole frame is heard.
fn hear<const N: usize>(framing: Framing, bytes: &[u8]) {
    let mut decoder = Decoder::<N>::new(framing);
    for byte in bytes.iter().chain(separator(framing)) {
        if let Some(Ok(message)) = decoder.push(*byte) {
            check(&message, N);
        }
    }
    let frame = last_frame(framing);
    let (end, before) = frame.split_last().expect("a frame has bytes");
    for byte in before {
        // What the first zero or dollar sign ends may be a message or a fault.
        let _ = decoder.push(*byte);
    }
    match decoder.push(*end) {
        Some(Ok(message)) => assert_eq!((message.text, message.is_unsure), (LAST.text, false)),
        Some(Err(fault)) => assert!(N < frame.len(), "{framing:?}: {fault}"),
        None => panic!("{framing:?}: a whole frame gives nothing"),
    }
}

fn check(message: &Message, room: usize) {
    assert!(message.text.len() <= room, "{} bytes of text out of {room}", message.text.len());
    if let Some(stamp) = message.stamp {
        assert!((0.0..=1.0).contains(&stamp.confidence), "confidence {}", stamp.confidence);
    }
}

/// What sets a decoder right that stands within a line.
fn separator(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Line | Framing::Json => b"\n",
        Framing::Ascii | Framing::Cobs => b"",
    }
}

fn last_frame(framing: Framing) -> Vec<u8> {
    let mut frame = [0; 128];
    let len = match framing {
        Framing::Line => return b"a dog\n".to_vec(),
        Framing::Json => return b"{\"caption\":\"a dog\"}\n".to_vec(),
        Framing::Ascii => encode_sentences(&LAST, &mut frame),
        Framing::Cobs => encode_packet(&LAST, &mut frame),
    };
    frame[..len.expect("there is room")].to_vec()
}

/// The pieces of the input, each as a frame that says so.
fn framed(framing: Framing, input: Input) -> Vec<u8> {
    let frame = |(_, content): (u8, &[u8])| match framing {
        Framing::Line | Framing::Json => [content, b"\n"].concat(),
        Framing::Ascii => {
            let body = [b"SCAP,", content].concat();
            let sum = body.iter().fold(0, |sum, byte| sum ^ byte);
            [b"$", &body[..], format!("*{sum:02X}\r\n").as_bytes()].concat()
        }
        Framing::Cobs => {
            let packet = [content, &crc32fast::hash(content).to_le_bytes()].concat();
            [&[0], &stuffed(&packet)[..], &[0]].concat()
        }
    };
    input.pieces().flat_map(frame).collect()
}

/// Consistent Overhead Byte Stuffing.
fn stuffed(packet: &[u8]) -> Vec<u8> {
    let mut stuffed = vec![];
    for block in packet.split(|byte| *byte == 0) {
        for full in block.chunks(254) {
            stuffed.push(full.len() as u8 + 1);
            stuffed.extend(full);
        }
        if block.len() % 254 == 0 {
            stuffed.push(1);
        }
    }
    stuffed
}
