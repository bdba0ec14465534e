//! Greedy and beam search over any network that scores the next token, in fixed memory.
//!
//! A caption's score is its summed log probability divided by `length ^ length_penalty`, the end token counted (Wu et al.
//! 2016 in the simpler form that Hugging Face's `generate` uses). The search ends when as many captions have ended as the
//! beam is wide and the best one under way ranks no higher than any of these. A beam of 1 is greedy decoding.

use crate::caption::{Token, Tokens};
use crate::error::Result;
use crate::limits::MAX_BEAM;
use crate::softmax::{log_sum_exp, max};
use crate::spec::GenerationSpec;

/// Candidates kept a step: each live row may end and still leave a beam of live ones.
pub(crate) const MAX_CANDIDATES: usize = 2 * MAX_BEAM;

/// Logits that are looked through at once: most chunks hold no candidate.
const CHUNK: usize = 64;

/// A network that scores the token after a prefix, for several prefixes (rows) at once.
pub(crate) trait NextToken {
    /// Appends `tokens[row]` to the prefix that was in row `parents[row]`, for each row.
    fn step(&mut self, tokens: &[Token], parents: &[usize]) -> Result<()>;

    /// Unnormalised log probabilities of the next token, one for each entry of the vocabulary.
    fn logits(&self, row: usize) -> &[f32];
}

/// A caption in the making, or made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Without start and end.
    pub tokens: Tokens,
    /// Summed log probability, the end token's included.
    pub log_probability: f32,
    /// Whether the end token was chosen.
    pub has_ended: bool,
}

impl Hypothesis {
    fn scored_len(&self) -> usize {
        self.tokens.len() + usize::from(self.has_ended)
    }

    fn score(&self, length_penalty: f32) -> f32 {
        self.log_probability / (self.scored_len().max(1) as f32).powf(length_penalty)
    }

    /// Geometric mean of the token probabilities, in (0, 1].
    pub fn confidence(&self) -> f32 {
        (self.log_probability / self.scored_len().max(1) as f32).exp()
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    row: usize,
    token: Token,
    log_probability: f32,
}

type Beam = heapless::Vec<Hypothesis, MAX_BEAM>;

/// Working memory of [`search`].
#[derive(Debug, Default)]
pub(crate) struct Beams {
    live: Beam,
    next: Beam,
    ended: Beam,
    candidates: heapless::Vec<Candidate, MAX_CANDIDATES>,
    tokens: heapless::Vec<Token, MAX_BEAM>,
    parents: heapless::Vec<usize, MAX_BEAM>,
}

/// Finds the best caption, of at most `rules.max_tokens` tokens with the end token, and leaves it in `best`.
///
/// `network` is at its first step and has `rules.beam` rows. Allocates nothing.
///
/// # Errors
/// Those of the network.
pub(crate) fn search(
    network: &mut impl NextToken,
    rules: &GenerationSpec,
    beams: &mut Beams,
    best: &mut Hypothesis,
) -> Result<()> {
    beams.start(rules);
    for _ in 0..rules.max_tokens {
        network.step(&beams.tokens, &beams.parents)?;
        beams.collect_candidates(network, rules);
        beams.extend(rules);
        if beams.is_settled(rules) {
            beams.live.clear();
            break;
        }
    }
    best.clone_from(beams.best(rules));
    Ok(())
}

impl Beams {
    fn start(&mut self, rules: &GenerationSpec) {
        self.live.clear();
        self.ended.clear();
        self.tokens.clear();
        self.parents.clear();
        let _ = self.live.push(Hypothesis::default());
        for row in 0..rules.beam {
            let _ = self.tokens.push(rules.start);
            let _ = self.parents.push(row);
        }
    }

    /// Keeps the best extensions of all live rows, best first.
    fn collect_candidates(&mut self, network: &impl NextToken, rules: &GenerationSpec) {
        self.candidates.clear();
        for (row, hypothesis) in self.live.iter().enumerate() {
            let logits = network.logits(row);
            let offset = hypothesis.log_probability - log_sum_exp(logits);
            for (chunk, logits) in logits.chunks(CHUNK).enumerate() {
                if max(logits) + offset > worst(&self.candidates, 2 * rules.beam) {
                    let candidates = candidates(row, chunk * CHUNK, logits, offset);
                    candidates.for_each(|candidate| consider(candidate, &mut self.candidates, rules));
                }
            }
        }
    }

    /// Turns candidates into the next live rows and ended captions.
    fn extend(&mut self, rules: &GenerationSpec) {
        self.next.clear();
        for (rank, candidate) in self.candidates.iter().enumerate() {
            let parent = &self.live[candidate.row];
            if rules.end.contains(&candidate.token) {
                if rank < rules.beam {
                    let log_probability = candidate.log_probability;
                    let ended = Hypothesis { tokens: parent.tokens.clone(), log_probability, has_ended: true };
                    keep_best(ended, &mut self.ended, rules);
                }
            } else if self.next.len() < rules.beam {
                let row = self.next.len();
                (self.tokens[row], self.parents[row]) = (candidate.token, candidate.row);
                let mut next = Hypothesis { log_probability: candidate.log_probability, ..parent.clone() };
                let _ = next.tokens.push(candidate.token);
                let _ = self.next.push(next);
            }
        }
        core::mem::swap(&mut self.live, &mut self.next);
    }

    fn is_settled(&self, rules: &GenerationSpec) -> bool {
        let score = |hypothesis: &Hypothesis| hypothesis.score(rules.length_penalty);
        let Some(best_live) = self.live.first().map(score) else { return true };
        let is_full = self.ended.len() == rules.beam;
        is_full && (rules.beam == 1 || self.ended.iter().all(|ended| best_live <= score(ended)))
    }

    /// The best caption, ended or still live; of equals the first found.
    fn best(&self, rules: &GenerationSpec) -> &Hypothesis {
        static NOTHING: Hypothesis =
            Hypothesis { tokens: Tokens::new(), log_probability: f32::NEG_INFINITY, has_ended: false };
        let score = |hypothesis: &&Hypothesis| hypothesis.score(rules.length_penalty);
        let all = self.ended.iter().chain(&self.live);
        all.reduce(|best, other| if score(&other) > score(&best) { other } else { best }).unwrap_or(&NOTHING)
    }

    /// All captions that the last search has left, ended or still live, best first; of equals the first found.
    pub(crate) fn ranked(&self, rules: &GenerationSpec) -> heapless::Vec<&Hypothesis, MAX_CANDIDATES> {
        let score = |hypothesis: &Hypothesis| hypothesis.score(rules.length_penalty);
        let mut ranked: heapless::Vec<_, MAX_CANDIDATES> = self.ended.iter().chain(&self.live).collect();
        ranked.sort_by(|a, b| score(b).total_cmp(&score(a)));
        ranked
    }
}

/// The extensions of `row` by the tokens from `first` on.
fn candidates(row: usize, first: usize, logits: &[f32], offset: f32) -> impl Iterator<Item = Candidate> {
    let tokens = first as Token..;
    tokens.zip(logits).map(move |(token, logit)| Candidate { row, token, log_probability: logit + offset })
}

/// Keeps a candidate if it is among the best so far.
fn consider(candidate: Candidate, kept: &mut heapless::Vec<Candidate, MAX_CANDIDATES>, rules: &GenerationSpec) {
    let capacity = 2 * rules.beam;
    if candidate.log_probability > worst(kept, capacity) && !rules.suppressed.contains(&candidate.token) {
        insert(candidate, kept, capacity);
    }
}

/// What a candidate must exceed to be kept. Not a number exceeds nothing.
fn worst(kept: &[Candidate], capacity: usize) -> f32 {
    if kept.len() < capacity { f32::NEG_INFINITY } else { kept[kept.len() - 1].log_probability }
}

/// Inserts in order, after equals, and drops the worst beyond `capacity`.
fn insert(candidate: Candidate, kept: &mut heapless::Vec<Candidate, MAX_CANDIDATES>, capacity: usize) {
    if kept.len() == capacity {
        kept.pop();
    }
    let place = kept.partition_point(|other| other.log_probability >= candidate.log_probability);
    let _ = kept.insert(place, candidate);
}

/// Adds an ended caption; of more than a beam the worst goes.
fn keep_best(hypothesis: Hypothesis, ended: &mut Beam, rules: &GenerationSpec) {
    let score = |hypothesis: &Hypothesis| hypothesis.score(rules.length_penalty);
    if ended.len() < rules.beam {
        let _ = ended.push(hypothesis);
        return;
    }
    let worst = ended.iter_mut().min_by(|a, b| score(a).total_cmp(&score(b)));
    if let Some(worst) = worst.filter(|worst| score(worst) < score(&hypothesis)) {
        *worst = hypothesis;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Token = 0;
    const END: Token = 1;

    /// Scores the next token by the last one alone: row `t` of the table are the probabilities after token `t`.
    struct Chain {
        table: &'static [&'static [f32]],
        last: [Token; MAX_BEAM],
        logits: Vec<Vec<f32>>,
        steps: usize,
    }

    impl Chain {
        fn new(table: &'static [&'static [f32]]) -> Self {
            let logits = table.iter().map(|row| row.iter().map(|p| p.ln()).collect()).collect();
            Self { table, last: [START; MAX_BEAM], logits, steps: 0 }
        }
    }

    impl NextToken for Chain {
        fn step(&mut self, tokens: &[Token], parents: &[usize]) -> Result<()> {
            assert!(tokens.len() == parents.len() && parents.iter().all(|parent| *parent < tokens.len()));
            assert!(tokens.iter().all(|token| (*token as usize) < self.table.len()));
            self.last[..tokens.len()].copy_from_slice(tokens);
            self.steps += 1;
            Ok(())
        }

        fn logits(&self, row: usize) -> &[f32] {
            &self.logits[self.last[row] as usize]
        }
    }

    fn rules(beam: usize) -> GenerationSpec {
        GenerationSpec {
            start: START,
            end: vec![END],
            suppressed: vec![START],
            max_tokens: 6,
            beam,
            length_penalty: 1.0,
        }
    }

    fn run(chain: &mut Chain, rules: &GenerationSpec) -> Hypothesis {
        let mut best = Hypothesis::default();
        search(chain, rules, &mut Beams::default(), &mut best).unwrap();
        best
    }

    // start, end, then words: the likelier first word 2 leads to unlikely captions, 3 to a sure end.
    const GARDEN_PATH: &[&[f32]] =
        &[&[0.0, 0.0, 0.6, 0.4], &[0.0, 1.0, 0.0, 0.0], &[0.0, 0.3, 0.4, 0.3], &[0.0, 1.0, 0.0, 0.0]];

    #[test]
    fn greedy_takes_the_likeliest_token_each_time() {
        let best = run(&mut Chain::new(GARDEN_PATH), &rules(1));
        assert_eq!(best.tokens, [2, 2, 2, 2, 2, 2]);
        assert!(!best.has_ended);
    }

    #[test]
    fn a_beam_finds_the_likelier_caption() {
        let best = run(&mut Chain::new(GARDEN_PATH), &rules(2));
        assert_eq!((best.tokens.as_slice(), best.has_ended), ([3].as_slice(), true));
        assert!((best.confidence() - 0.4f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn what_the_beam_has_left_is_ranked_with_the_best_first() {
        let (rules, mut beams, mut best) = (rules(3), Beams::default(), Hypothesis::default());
        search(&mut Chain::new(GARDEN_PATH), &rules, &mut beams, &mut best).unwrap();
        let ranked = beams.ranked(&rules);
        assert!(ranked.len() > 1 && *ranked[0] == best, "{ranked:?}");
        assert!(ranked.windows(2).all(|pair| pair[0].score(1.0) >= pair[1].score(1.0)), "{ranked:?}");
        assert!(ranked.iter().enumerate().all(|(i, one)| ranked[..i].iter().all(|other| other.tokens != one.tokens)));
    }

    #[test]
    fn a_caption_stops_at_the_end_token() {
        let mut chain = Chain::new(&[&[0.0, 0.1, 0.9], &[0.0, 1.0, 0.0], &[0.0, 0.9, 0.1]]);
        let best = run(&mut chain, &rules(1));
        assert_eq!((best.tokens.as_slice(), best.has_ended, chain.steps), ([2].as_slice(), true, 2));
    }

    #[test]
    fn suppressed_tokens_are_never_chosen() {
        let rules = GenerationSpec { suppressed: vec![START, 2], ..rules(1) };
        let best =
            run(&mut Chain::new(&[&[0.1, 0.1, 0.6, 0.2], &[0.25; 4], &[0.25; 4], &[0.0, 0.9, 0.0, 0.1]]), &rules);
        assert_eq!(best.tokens, [3]);
    }

    #[test]
    fn the_length_penalty_decides_between_short_and_long() {
        // After the start: end at once with 0.5, or word 2 with 0.5 and then the end for sure.
        let table: &[&[f32]] = &[&[0.0, 0.51, 0.49], &[0.0, 1.0, 0.0], &[0.0, 1.0, 0.0]];
        for (length_penalty, len) in [(0.0, 0), (1.0, 1)] {
            let rules = GenerationSpec { length_penalty, ..rules(2) };
            assert_eq!(run(&mut Chain::new(table), &rules).tokens.len(), len, "length penalty {length_penalty}");
        }
    }

    #[test]
    fn logits_that_are_not_numbers_give_an_empty_caption() {
        let best = run(&mut Chain::new(&[&[f32::NAN; 3], &[f32::NAN; 3], &[f32::NAN; 3]]), &rules(3));
        assert_eq!((best.tokens.len(), best.has_ended), (0, false));
    }

    #[test]
    fn ties_go_to_the_lower_token() {
        let best = run(
            &mut Chain::new(&[
                &[0.0, 0.0, 0.5, 0.5],
                &[0.0, 1.0, 0.0, 0.0],
                &[0.0, 1.0, 0.0, 0.0],
                &[0.0, 1.0, 0.0, 0.0],
            ]),
            &rules(1),
        );
        assert_eq!(best.tokens, [2]);
    }
}
