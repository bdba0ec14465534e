//! One of so many frames.

use super::raw_frame::{RawFrame, RawSource};
use crate::error::Result;

/// Gives the first frame and then each `step`th; the others are read but not decoded.
#[derive(Debug)]
pub struct Every<S> {
    source: S,
    step: u32,
    has_begun: bool,
}

impl<S: RawSource> Every<S> {
    /// One of `step` frames; 0 is taken as 1.
    pub fn new(source: S, step: u32) -> Self {
        Self { source, step: step.max(1), has_begun: false }
    }
}

impl<S: RawSource> RawSource for Every<S> {
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        let passed_over = if self.has_begun { self.step - 1 } else { 0 };
        self.has_begun = true;
        for _ in 0..passed_over {
            if !self.source.next_raw(frame)? {
                return Ok(false);
            }
        }
        self.source.next_raw(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);

    impl RawSource for Counting {
        fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
            self.0 += 1;
            frame.bytes = vec![self.0];
            Ok(self.0 <= 8)
        }
    }

    #[test]
    fn the_first_and_then_each_nth_frame_is_given() {
        for (step, expected) in [(0, vec![1, 2, 3, 4, 5, 6, 7, 8]), (3, vec![1, 4, 7]), (7, vec![1, 8]), (8, vec![1])] {
            let (mut every, mut frame, mut given) = (Every::new(Counting(0), step), RawFrame::default(), Vec::new());
            while every.next_raw(&mut frame).unwrap() {
                given.push(frame.bytes[0]);
            }
            assert_eq!(given, expected, "every {step}");
        }
    }
}
