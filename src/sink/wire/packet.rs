//! Packets: postcard, a CRC-32, byte stuffing.

use serde::{Deserialize, Serialize};

use super::cobs::{stuff, unstuff};
use super::crc::crc32;
use super::{Fault, Message, Stamp};

const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// Bytes of a packet before stuffing: those of the fields at their longest, of a text of 512 bytes, and of the checksum.
const MAX_PACKET_BYTES: usize = 1 + 5 + 10 + 4 + 1 + 2 + 512 + CRC_BYTES;

/// What a packet holds, in this order.
#[derive(Serialize, Deserialize)]
struct Packet<'a> {
    version: u8,
    sequence: u32,
    time_ms: u64,
    confidence: f32,
    is_unsure: bool,
    text: &'a str,
}

/// Writes the frame of a message, zero bytes at both ends, and gives its length. `None` for a message without a stamp, of
/// more than 512 bytes of text, or one that `frame` has no room for.
pub fn encode_packet(message: &Message, frame: &mut [u8]) -> Option<usize> {
    let Stamp { sequence, time_ms, confidence } = message.stamp?;
    let Message { text, is_unsure, .. } = *message;
    let packet = Packet { version: VERSION, sequence, time_ms, confidence, is_unsure, text };
    let mut bytes = [0; MAX_PACKET_BYTES];
    let length = postcard::to_slice(&packet, &mut bytes[..MAX_PACKET_BYTES - CRC_BYTES]).ok()?.len();
    let crc = crc32(&bytes[..length]).to_le_bytes();
    bytes[length..length + CRC_BYTES].copy_from_slice(&crc);
    *frame.first_mut()? = 0;
    let stuffed = stuff(&bytes[..length + CRC_BYTES], &mut frame[1..])?;
    *frame.get_mut(1 + stuffed)? = 0;
    Some(stuffed + 2)
}

/// Reads what stood between two zero bytes, and overwrites it.
pub fn decode(frame: &mut [u8]) -> Result<Message<'_>, Fault> {
    let length = unstuff(frame).ok_or(Fault::Malformed)?;
    let (packet, crc) = frame[..length].split_last_chunk::<CRC_BYTES>().ok_or(Fault::Malformed)?;
    if crc32(packet) != u32::from_le_bytes(*crc) {
        return Err(Fault::Checksum);
    }
    match postcard::take_from_bytes(packet) {
        Ok((Packet { version: VERSION, sequence, time_ms, confidence, is_unsure, text }, []))
            if (0.0..=1.0).contains(&confidence) =>
        {
            Ok(Message { text, is_unsure, stamp: Some(Stamp { sequence, time_ms, confidence }) })
        }
        _ => Err(Fault::Malformed),
    }
}
