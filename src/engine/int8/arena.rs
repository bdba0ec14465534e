//! Places for the tensors of a region in one block of memory, so that tensors that are never needed at once share it.

use std::ops::Range;

/// Every tensor starts on a cache line.
const ALIGNMENT: usize = 64;

/// Bytes needed from the step `first` to the step `last`, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer {
    pub len: usize,
    pub first: usize,
    pub last: usize,
}

impl Buffer {
    fn is_needed_with(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A place for each buffer.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub places: Vec<Range<usize>>,
    pub len: usize,
}

impl Arena {
    /// Lays the longest buffers first, each in the lowest gap that is free while it is needed.
    pub fn plan(buffers: &[Buffer]) -> Self {
        let mut by_length: Vec<usize> = (0..buffers.len()).collect();
        by_length.sort_by_key(|index| std::cmp::Reverse(buffers[*index].len));
        let mut arena = Self { places: vec![0..0; buffers.len()], len: 0 };
        let mut laid: Vec<usize> = vec![];
        for index in by_length {
            let taken = laid.iter().filter(|other| buffers[**other].is_needed_with(&buffers[index]));
            let start = first_gap(taken.map(|other| arena.places[*other].clone()).collect(), buffers[index].len);
            arena.places[index] = start..start + buffers[index].len;
            arena.len = arena.len.max(arena.places[index].end);
            laid.push(index);
        }
        arena
    }
}

fn first_gap(mut taken: Vec<Range<usize>>, len: usize) -> usize {
    taken.sort_by_key(|place| place.start);
    let mut start = 0;
    for place in taken {
        if start + len <= place.start {
            break;
        }
        start = start.max(place.end.next_multiple_of(ALIGNMENT));
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_needs_the_two_longest_neighbours() {
        let buffer = |len, step| Buffer { len, first: step, last: step + 1 };
        let arena = Arena::plan(&[buffer(64, 0), buffer(640, 1), buffer(128, 2), buffer(640, 3)]);
        assert_eq!(arena.len, 640 + 128);
    }

    #[test]
    fn buffers_needed_at_once_never_overlap() {
        let mut seed = 1_u32;
        let mut random = |limit: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % limit
        };
        let buffers: Vec<Buffer> = (0..200)
            .map(|_| {
                let first = random(100);
                Buffer { len: random(1000), first, last: first + random(20) }
            })
            .collect();
        let arena = Arena::plan(&buffers);
        for (i, a) in buffers.iter().enumerate() {
            for (j, b) in buffers.iter().enumerate().filter(|(j, b)| i < *j && a.is_needed_with(b)) {
                let (first, second) = (&arena.places[i], &arena.places[j]);
                let is_apart = first.end <= second.start || second.end <= first.start;
                assert!(is_apart || a.len == 0 || b.len == 0, "{a:?} at {first:?}, {b:?} at {second:?}");
            }
        }
    }
}
