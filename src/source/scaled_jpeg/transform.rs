//! The inverse DCT of 2 to 8 points over the lowest frequencies of a block of 8 x 8, in integers.

/// Fractional bits of the factors, and of what is kept between the two passes.
const FACTOR_BITS: u32 = 12;
const MIDDLE_BITS: u32 = 4;

/// cos(i pi / 48) / 2 for a quarter of the circle.
const COSINES: [i32; 25] = [
    2048, 2044, 2030, 2009, 1978, 1939, 1892, 1837, 1774, 1703, 1625, 1540, 1448, 1350, 1247, 1138, 1024, 906, 784,
    658, 530, 400, 267, 134, 0,
];

/// Writes a block's pixels, of which rows are a number of bytes apart, from its dequantized coefficients.
pub(super) type Inverse = fn(&[i32; 64], &mut [u8], usize);

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

fn inverse_of<const W: usize, const H: usize>(coefficients: &[i32; 64], pixels: &mut [u8], stride: usize) {
    let mut middle = [[0i32; W]; H]; // (frequency down, pixel across)
    for (row, sums) in coefficients.chunks_exact(8).zip(&mut middle) {
        for (sum, factors) in sums.iter_mut().zip(&Points::<W>::FACTORS) {
            let products = (0..W).map(|u| row[u].wrapping_mul(factors[u]));
            let half = 1 << (FACTOR_BITS - MIDDLE_BITS - 1);
            *sum = products.fold(half, i32::wrapping_add) >> (FACTOR_BITS - MIDDLE_BITS);
        }
    }
    for (row, factors) in pixels.chunks_mut(stride).zip(&Points::<H>::FACTORS) {
        for (x, pixel) in row[..W].iter_mut().enumerate() {
            let products = (0..H).map(|v| middle[v][x].wrapping_mul(factors[v]));
            let half = 1 << (FACTOR_BITS + MIDDLE_BITS - 1);
            let value = products.fold(half, i32::wrapping_add) >> (FACTOR_BITS + MIDDLE_BITS);
            *pixel = value.saturating_add(128).clamp(0, 255) as u8;
        }
    }
}

/// The transform of N points in one direction. A flat block keeps its brightness, whatever N is.
struct Points<const N: usize>;

impl<const N: usize> Points<N> {
    const FACTORS: [[i32; N]; N] = Self::factors(); // (pixel, frequency)

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
