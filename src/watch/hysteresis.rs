//! Hysteresis after the network: has the new sentence held, and does it say anything new?
//!
//! Sentences are compared by the words they share: twice the common tokens over all tokens (Dice's coefficient), repeated
//! words counted, order ignored.

use crate::caption::{Caption, Token};

/// What becomes of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It has not held yet.
    Wait,
    /// It has held, and says what was said before.
    Same,
    /// It has held and is new.
    New,
}

/// Which sentences count as held, and which as new.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Frames in a row, 1 or more, over which a sentence must hold; 1 takes the first.
    pub hold: u32,
    /// Share of common words from which the sentence of a moving scene has held: the default is about what noisy frames
    /// of one photo nearly always share, and frames of two photos seldom.
    pub held_words: f32,
    /// Share of common words from which a sentence says nothing new about a scene that has changed in part.
    pub same_words: f32,
}

impl Default for Agreement {
    fn default() -> Self {
        Self { hold: 2, held_words: 0.5, same_words: 0.7 }
    }
}

/// Remembers the sentence that was told and the one that wants to be.
#[derive(Debug, Clone)]
pub(super) struct Hysteresis {
    agreement: Agreement,
    candidate: Caption,
    held: u32,
    told: Caption,
    has_told: bool,
}

impl Hysteresis {
    pub(super) fn new(agreement: Agreement) -> Self {
        Self { agreement, candidate: Caption::default(), held: 0, told: Caption::default(), has_told: false }
    }

    /// Weighs the sentence of one more frame. `is_still`: the picture is that of the frame before, so that its sentence
    /// holds whatever the words; `is_cut`: so much of the picture has changed that only the same words say nothing new.
    pub(super) fn weigh(&mut self, caption: &Caption, is_still: bool, is_cut: bool) -> Weight {
        let Agreement { hold, held_words, .. } = self.agreement;
        let holds = is_still || shared_words(&caption.tokens, &self.candidate.tokens) >= held_words;
        self.held = if self.held > 0 && holds { self.held + 1 } else { 1 };
        self.candidate.clone_from(caption);
        if self.held < hold {
            return Weight::Wait;
        }
        if self.is_new(is_cut) { Weight::New } else { Weight::Same }
    }

    /// The sentence that has not held yet, if it is new.
    pub(super) fn candidate(&self, is_cut: bool) -> Option<&Caption> {
        (self.held > 0 && self.is_new(is_cut)).then_some(&self.candidate)
    }

    /// Forgets the sentence that has not held yet.
    pub(super) fn drop_candidate(&mut self) {
        self.held = 0;
    }

    fn is_new(&self, is_cut: bool) -> bool {
        let enough = if is_cut { 1.0 } else { self.agreement.same_words };
        !self.has_told || shared_words(&self.candidate.tokens, &self.told.tokens) < enough
    }

    /// Takes the sentence as told.
    pub(super) fn tell(&mut self, caption: &Caption) {
        self.told.clone_from(caption);
        self.has_told = true;
        self.held = 0;
    }
}

/// Dice's coefficient of two bags of tokens, 0 to 1; 1 for two empty ones.
fn shared_words(left: &[Token], right: &[Token]) -> f32 {
    const { assert!(crate::limits::MAX_TOKENS <= 64, "a bit for each token") }
    let mut taken = 0u64;
    for token in left {
        let is_match = |&place: &usize| taken >> place & 1 == 0 && right[place] == *token;
        if let Some(place) = (0..right.len()).find(is_match) {
            taken |= 1 << place;
        }
    }
    let all = left.len() + right.len();
    if all == 0 { 1.0 } else { 2.0 * taken.count_ones() as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(tokens: &[Token]) -> Caption {
        Caption { tokens: tokens.iter().copied().collect(), ..Caption::default() }
    }

    #[test]
    fn words_are_shared_whatever_their_order() {
        let cases: [(&[Token], &[Token], f32); 6] = [
            (&[], &[], 1.0),
            (&[1], &[], 0.0),
            (&[1, 2, 3], &[3, 1, 2], 1.0),
            (&[1, 1, 2], &[1, 2, 2], 2.0 / 3.0),
            (&[1, 2], &[3, 4], 0.0),
            (&[1; 64], &[1; 64], 1.0),
        ];
        for (left, right, expected) in cases {
            assert_eq!(shared_words(left, right), expected, "{left:?} {right:?}");
            assert_eq!(shared_words(right, left), expected, "{right:?} {left:?}");
        }
    }

    #[test]
    fn a_sentence_holds_by_its_words_or_by_a_still_picture() {
        let weigh_twice = |second: &[Token], is_still| {
            let mut hysteresis = Hysteresis::new(Agreement::default());
            assert_eq!(hysteresis.weigh(&sentence(&[1, 2, 3, 4]), false, true), Weight::Wait);
            hysteresis.weigh(&sentence(second), is_still, true)
        };
        assert_eq!(weigh_twice(&[1, 2, 8, 9], false), Weight::New);
        assert_eq!(weigh_twice(&[1, 7, 8, 9], false), Weight::Wait);
        assert_eq!(weigh_twice(&[6, 7, 8, 9], true), Weight::New);
    }

    #[test]
    fn a_part_of_the_picture_needs_other_words_to_be_news_and_a_cut_only_one() {
        for (is_cut, words, expected) in [
            (false, [1, 2, 3, 9], Weight::Same),
            (true, [1, 2, 3, 9], Weight::New),
            (false, [1, 2, 8, 9], Weight::New),
            (true, [1, 2, 3, 4], Weight::Same),
        ] {
            let mut hysteresis = Hysteresis::new(Agreement { hold: 1, ..Agreement::default() });
            hysteresis.tell(&sentence(&[1, 2, 3, 4]));
            assert_eq!(hysteresis.weigh(&sentence(&words), false, is_cut), expected, "{words:?}, cut {is_cut}");
        }
    }

    #[test]
    fn a_candidate_that_was_dropped_starts_again() {
        let mut hysteresis = Hysteresis::new(Agreement::default());
        assert_eq!(hysteresis.weigh(&sentence(&[1]), false, true), Weight::Wait);
        assert_eq!(hysteresis.candidate(true), Some(&sentence(&[1])));
        hysteresis.drop_candidate();
        assert_eq!(hysteresis.candidate(true), None);
        assert_eq!(hysteresis.weigh(&sentence(&[1]), false, true), Weight::Wait);
    }
}
