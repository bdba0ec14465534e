//! The inverse DCT of 2 to 8 points over the lowest frequencies of a block of 8 x 8, in integers.

/// Fractional bits of the factors, and of what is kept between the two passes.
const FACTOR_BITS: u32 = 12;
const MIDDLE_BITS: u32 = 4;

/// cos(i pi / 48) / 2 for a quarter of the circle.
const COSINES: [i32; 25] = [
    2048, 2044, 2030, 2009, 1978, 1939, 1892, 1837, 1774, 1703, 1625, 1540, 1448, 1350, 1247, 1138, 1024, 906, 784,
    658, 530, 400, 267, 134, 0,
];

/// Writes a block's pixels, of which rows are a number of bytes apart, from its dequantized coefficients, and leaves zeros
/// in their place. Of a flat block only the first coefficient is looked at.
pub(super) type Inverse = fn(&mut [i32; 64], bool, &mut [u8], usize);

/// For blocks of `across` x `down` pixels, 2, 3, 4, 6 or 8 each; `None` for others.
pub(super) fn inverse(across: usize, down: usize) -> Option<Inverse> {
    Some(match (across, down) {
        (2, 2) => inverse_of::<2, 2>,
        (2, 4) => inverse_of::<2, 4>,
        (3, 3) => inverse_of::<3, 3>,
        (3, 6) => inverse_of::<3, 6>,
        (4, 2) => inverse_of::<4, 2>,
        (4, 4) => inverse_of::<4, 4>,
        (4, 8) => inverse_of::<4, 8>,
        (6, 3) => inverse_of::<6, 3>,
        (6, 6) => inverse_of::<6, 6>,
        (8, 4) => inverse_of::<8, 4>,
        (8, 8) => inverse_of::<8, 8>,
        _ => return None,
    })
}

fn inverse_of<const W: usize, const H: usize>(
    coefficients: &mut [i32; 64],
    is_flat: bool,
    pixels: &mut [u8],
    stride: usize,
) {
    if is_flat {
        let value = pixel(Points::<H>::flat(middle(Points::<W>::flat(coefficients[0]))));
        coefficients[0] = 0;
        pixels.chunks_mut(stride).take(H).for_each(|row| row[..W].fill(value));
        return;
    }
    let mut columns = [[0; H]; W]; // (pixel across, frequency down)
    for (v, row) in coefficients.chunks_exact_mut(8).take(H).enumerate() {
        let row: &mut [i32; W] = row.first_chunk_mut().expect("a block is 8 wide at most");
        for (column, sum) in columns.iter_mut().zip(Points::sums(row)) {
            column[v] = middle(sum);
        }
        row.fill(0);
    }
    let columns = columns.map(|column| Points::sums(&column));
    for (y, row) in pixels.chunks_mut(stride).take(H).enumerate() {
        for (to, column) in row[..W].iter_mut().zip(&columns) {
            *to = pixel(column[y]);
        }
    }
}

/// What is kept of a sum of the first pass.
fn middle(sum: i32) -> i32 {
    const BITS: u32 = FACTOR_BITS - MIDDLE_BITS;
    sum.wrapping_add(1 << (BITS - 1)) >> BITS
}

/// What a sum of the second pass means.
fn pixel(sum: i32) -> u8 {
    const BITS: u32 = FACTOR_BITS + MIDDLE_BITS;
    (sum.wrapping_add(1 << (BITS - 1)) >> BITS).saturating_add(128).clamp(0, 255) as u8
}

/// The transform of N points in one direction. A flat block keeps its brightness, whatever N is.
struct Points<const N: usize>;

impl<const N: usize> Points<N> {
    const FACTORS: [[i32; N]; N] = Self::factors(); // (pixel, frequency)

    /// From frequencies to pixels. Even frequencies are the same in the mirror, odd ones have the other sign, so that half
    /// of the products are enough.
    #[inline]
    fn sums(frequencies: &[i32; N]) -> [i32; N] {
        let mut sums = [0; N];
        for (x, factors) in Self::FACTORS.iter().take(N.div_ceil(2)).enumerate() {
            let product = |u: usize| frequencies[u].wrapping_mul(factors[u]);
            let even = (0..N).step_by(2).map(product).fold(0, i32::wrapping_add);
            let odd = (1..N).step_by(2).map(product).fold(0, i32::wrapping_add);
            sums[N - 1 - x] = even.wrapping_sub(odd);
            sums[x] = even.wrapping_add(odd);
        }
        sums
    }

    /// Each pixel, if there is nothing but the lowest frequency.
    fn flat(lowest: i32) -> i32 {
        lowest.wrapping_mul(Self::FACTORS[0][0])
    }

    const fn factors() -> [[i32; N]; N] {
        let mut factors = [[COSINES[12]; N]; N]; // that of frequency 0 is sqrt(1/8)
        let mut i = 0;
        while i < N * N {
            let (pixel, frequency) = (i / N, i % N);
            if frequency > 0 {
                factors[pixel][frequency] = half_cosine((2 * pixel + 1) * frequency * (24 / N));
            }
            i += 1;
        }
        factors
    }
}

/// cos(i pi / 48) / 2.
const fn half_cosine(i: usize) -> i32 {
    match i % 96 {
        i @ 0..=24 => COSINES[i],
        i @ 25..=48 => -COSINES[48 - i],
        i @ 49..=72 => -COSINES[i - 48],
        i => COSINES[96 - i],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: every product of both passes.
    fn by_all_products<const W: usize, const H: usize>(coefficients: &[i32; 64]) -> Vec<u8> {
        let sum = |factors: &[i32], value: &dyn Fn(usize) -> i32| {
            factors.iter().enumerate().fold(0i32, |sum, (i, factor)| sum.wrapping_add(value(i).wrapping_mul(*factor)))
        };
        let across = |v: usize, x: usize| middle(sum(&Points::<W>::FACTORS[x], &|u| coefficients[v * 8 + u]));
        let down = |x: usize, y: usize| pixel(sum(&Points::<H>::FACTORS[y], &|v| across(v, x)));
        (0..H).flat_map(|y| (0..W).map(move |x| (x, y))).map(|(x, y)| down(x, y)).collect()
    }

    fn check<const W: usize, const H: usize>() {
        let inverse = inverse(W, H).unwrap();
        for seed in 0..200 {
            let largest = [3, 300, 40_000, i32::MAX][seed % 4];
            let is_flat = seed % 8 > 5;
            let value = |i: usize| (i as i32 + 3).wrapping_mul(seed as i32 * 2_654_435 + 97_531) % largest;
            let mut coefficients: [i32; 64] = std::array::from_fn(|i| if is_flat && i > 0 { 0 } else { value(i) });
            let expected = by_all_products::<W, H>(&coefficients);
            let mut pixels = vec![7; (W + 1) * H];
            inverse(&mut coefficients, is_flat, &mut pixels, W + 1);
            let written: Vec<u8> = pixels.chunks(W + 1).flat_map(|row| &row[..W]).copied().collect();
            assert_eq!(written, expected, "{W} x {H}, seed {seed}");
            assert!(pixels.chunks(W + 1).all(|row| row[W] == 7), "{W} x {H}: beside the block");
            assert!((0..64).all(|i| i / 8 >= H || i % 8 >= W || coefficients[i] == 0), "{W} x {H}: left over");
        }
    }

    #[test]
    fn shortcuts_give_the_pixels_of_the_definition() {
        check::<2, 2>();
        check::<2, 4>();
        check::<3, 3>();
        check::<3, 6>();
        check::<4, 2>();
        check::<4, 4>();
        check::<4, 8>();
        check::<6, 3>();
        check::<6, 6>();
        check::<8, 4>();
        check::<8, 8>();
    }
}
