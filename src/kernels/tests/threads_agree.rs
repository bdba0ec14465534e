//! An operator split over threads gives what it gives in one piece.
use crate::kernels::*;
use std::num::NonZero;

const UNIT: Quantization = Quantization { scale: 0.02, zero_point: 120 };

#[test]
fn operators_give_the_same_in_pieces() {
    let set = KernelSet::detect();
    let window = Window { height: 13, width: 9, channels: 70, kernel: [5, 5], stride: [1, 1], padding: [2; 4] };
    let values: Vec<i8> = (0..70 * 70).map(|i| (i * 31 % 251) as u8 as i8).collect();
    let weights = |depth: usize| Weights {
        values: &values[..70 * depth],
        order: WeightOrder::ChannelMajor,
        scales: &[0.003; 70],
        bias: &[],
    };
    let pointwise = Pointwise::pack(set, [70, 70], &weights(70), UNIT, &UNIT.into(), None).unwrap();
    let depthwise = Depthwise::pack(set, window, &weights(25), UNIT, &UNIT.into()).unwrap();
    let image: Vec<u8> = (0..window.input_len()).map(|i| (i * 77 % 253) as u8).collect();
    let (mut whole, mut pieces) = (vec![0; image.len()], vec![0; image.len()]);
    let row_len = 9 * 70;
    for count in 1..4 {
        let mut threads = Threads::new(NonZero::new(count).unwrap()).unwrap();

        depthwise.run(&image, 0..13, &mut whole);
        threads.run_pieces(&mut pieces, 2 * row_len, |piece, rows| {
            let first = piece * 2;
            depthwise.run(&image, first..first + rows.len() / row_len, rows);
        });
        assert!(whole == pieces, "depthwise, {count} threads");

        pointwise.run(&image, &mut whole);
        threads.run_pieces(&mut pieces, 20 * 70, |piece, rows| {
            pointwise.run(&image[piece * 20 * 70..][..rows.len()], rows);
        });
        assert!(whole == pieces, "pointwise, {count} threads");
    }
}
