//! The reference against loops that follow the definitions word for word, in i64 and f64 where f32 is not asked for.
use crate::kernels::*;
use proptest::prelude::*;

/// `clamp(round_half_even(acc as f32 * multiplier) + zero_point)`, by the standard library's rounding.
fn step(acc: i64, multiplier: f32, output: &Output) -> u8 {
    clamped(acc as f32 * multiplier, output)
}

fn clamped(steps: f32, output: &Output) -> u8 {
    let step = f64::from(steps.round_ties_even()) + f64::from(output.quantization.zero_point);
    step.clamp(f64::from(*output.steps.start()), f64::from(*output.steps.end())) as u8
}

fn quantization() -> impl Strategy<Value = Quantization> {
    (0.001_f32..0.1, any::<u8>()).prop_map(|(scale, zero_point)| Quantization { scale, zero_point })
}

fn output() -> impl Strategy<Value = Output> {
    (quantization(), any::<u8>(), any::<u8>())
        .prop_map(|(quantization, a, b)| Output { quantization, steps: a.min(b)..=a.max(b) })
}

fn steps_and_weights() -> impl Strategy<Value = (Vec<u8>, Vec<i8>, Vec<i32>)> {
    let values = prop::collection::vec(any::<u8>(), 4000);
    let weights = prop::collection::vec(any::<i8>(), 4000);
    (values, weights, prop::collection::vec(-100_000..100_000, 40))
}

fn scales(channels: usize) -> Vec<f32> {
    (0..channels).map(|channel| 0.001 + channel as f32 * 0.0007).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn pointwise(
        (x, w, bias) in steps_and_weights(), [rows, depth, channels] in prop::array::uniform3(1_usize..40),
        input in quantization(), output in output(), addend in quantization(), sum in output(),
    ) {
        let scales = scales(channels);
        let weights = Weights {
            values: &w[..channels * depth], order: WeightOrder::ChannelMajor, scales: &scales, bias: &bias[..channels],
        };
        let residual = Residual { addend, sum: sum.clone() };
        let reference = KernelSet::reference();
        let plain = Pointwise::pack(reference, [channels, depth], &weights, input, &output, None).unwrap();
        let adding = Pointwise::pack(reference, [channels, depth], &weights, input, &output, Some(&residual)).unwrap();
        let (mut own, mut added) = (vec![0; rows * channels], vec![0; rows * channels]);
        plain.run(&x[..rows * depth], &mut own);
        adding.run_adding(&x[..rows * depth], &x[..rows * channels], &mut added);
        for (i, (&own, &added)) in own.iter().zip(&added).enumerate() {
            let (row, channel) = (i / channels, i % channels);
            let products = (0..depth).map(|k| {
                (i64::from(x[row * depth + k]) - i64::from(input.zero_point)) * i64::from(w[channel * depth + k])
            });
            let acc = products.sum::<i64>() + i64::from(bias[channel]);
            let expected = step(acc, input.scale * scales[channel] / output.quantization.scale, &output);
            prop_assert_eq!(own, expected);
            let a = (i32::from(own) - i32::from(output.quantization.zero_point)) as f32 * output.quantization.scale;
            let b = (i32::from(x[i]) - i32::from(addend.zero_point)) as f32 * addend.scale;
            prop_assert_eq!(added, clamped((a + b) / sum.quantization.scale, &sum));
        }
    }

    #[test]
    fn windows(
        (x, w, bias) in steps_and_weights(), [height, width] in prop::array::uniform2(3_usize..8), channels in 1_usize..20,
        kernel in prop::array::uniform2(1_usize..4), stride in prop::array::uniform2(1_usize..3),
        padding in prop::array::uniform4(0_usize..3), input in quantization(), output in output(),
    ) {
        let outputs = 5;
        let window = Window { height, width, channels, kernel, stride, padding };
        let (taps, reference) = (kernel[0] * kernel[1], KernelSet::reference());
        let scales = scales(channels.max(outputs));
        let weights = |channels: usize, depth: usize| Weights {
            values: &w[..channels * depth], order: WeightOrder::ChannelMajor, scales: &scales[..channels],
            bias: &bias[..channels],
        };
        let depthwise = Depthwise::pack(reference, window, &weights(channels, taps), input, &output).unwrap();
        let dense =
            Convolution::pack(reference, window, outputs, &weights(outputs, channels * taps), input, &output).unwrap();
        let (rows, columns) = (window.output_height(), window.output_width());
        let image = &x[..window.input_len()];
        let (mut filtered, mut mixed) = (vec![0; rows * columns * channels], vec![0; rows * columns * outputs]);
        depthwise.run(image, 0..rows, &mut filtered);
        dense.run(image, 0..rows, &mut vec![0; dense.scratch_len()], &mut mixed);
        // The sum of one tap of one channel; padding has the real value 0.
        let tap = |row: usize, column: usize, y: usize, x: usize, channel: usize, weight: i8| {
            let row = (row * stride[0] + y).checked_sub(padding[0]).filter(|&row| row < height);
            let column = (column * stride[1] + x).checked_sub(padding[1]).filter(|&column| column < width);
            let (Some(row), Some(column)) = (row, column) else { return 0 };
            let value = image[(row * width + column) * channels + channel];
            (i64::from(value) - i64::from(input.zero_point)) * i64::from(weight)
        };
        let multiplier = |channel: usize| input.scale * scales[channel] / output.quantization.scale;
        for row in 0..rows {
            for column in 0..columns {
                let at = row * columns + column;
                let sum = |channel: usize, first_weight: usize| -> i64 {
                    (0..taps).map(|t| tap(row, column, t / kernel[1], t % kernel[1], channel, w[first_weight + t])).sum()
                };
                for channel in 0..channels {
                    let acc = sum(channel, channel * taps) + i64::from(bias[channel]);
                    prop_assert_eq!(filtered[at * channels + channel], step(acc, multiplier(channel), &output));
                }
                for out in 0..outputs {
                    let sums = (0..channels).map(|channel| sum(channel, (out * channels + channel) * taps));
                    let acc = sums.sum::<i64>() + i64::from(bias[out]);
                    prop_assert_eq!(mixed[at * outputs + out], step(acc, multiplier(out), &output));
                }
            }
        }
    }

    #[test]
    fn linear(
        (x, w, _) in steps_and_weights(), [rows, depth, channels] in prop::array::uniform3(1_usize..40),
        input in quantization(),
    ) {
        let scales = scales(channels);
        let weights = Weights {
            values: &w[..channels * depth], order: WeightOrder::DepthMajor, scales: &scales, bias: &[],
        };
        let bias: Vec<f32> = scales.iter().map(|scale| 1.0 - scale * 100.0).collect();
        let operator = Linear::pack(KernelSet::reference(), [channels, depth], &weights, &bias).unwrap();
        let mut output = vec![0.0; rows * channels];
        operator.run(&x[..rows * depth], &vec![input; rows], &mut output);
        for (i, &value) in output.iter().enumerate() {
            let (row, channel) = (i / channels, i % channels);
            let products = (0..depth).map(|k| {
                (i64::from(x[row * depth + k]) - i64::from(input.zero_point)) * i64::from(w[k * channels + channel])
            });
            let expected = products.sum::<i64>() as f32 * (input.scale * scales[channel]) + bias[channel];
            prop_assert_eq!(value.to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn quantize(values in prop::collection::vec(-1e3_f32..1e3, 1..50), quantization in quantization()) {
        let mut steps = vec![0; values.len()];
        KernelSet::reference().quantize(&values, quantization, &mut steps);
        for (&value, &step) in values.iter().zip(&steps) {
            prop_assert_eq!(step, clamped(value / quantization.scale, &quantization.into()));
        }
    }
}

#[test]
fn the_largest_sums_do_not_overflow_the_steps() {
    let depth = 4000;
    let unit = Quantization { scale: 1.0, zero_point: 0 };
    for (weight, input_zero_point, expected) in [(127, 0, 255), (-128, 0, 0), (-128, 255, 0), (1, 255, 0)] {
        let weights =
            Weights { values: &vec![weight; depth], order: WeightOrder::ChannelMajor, scales: &[1e30], bias: &[] };
        let input = Quantization { scale: 1e8, zero_point: input_zero_point };
        for set in KernelSet::available() {
            let operator = Pointwise::pack(set, [1, depth], &weights, input, &unit.into(), None).unwrap();
            let mut output = [77];
            operator.run(&vec![if input_zero_point == 0 { 255 } else { 254 }; depth], &mut output);
            assert_eq!(output[0], if weight == -128 && input_zero_point == 255 { 255 } else { expected }, "{set:?}");
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let set = KernelSet::detect();
    let unit = Quantization { scale: 1.0, zero_point: 0 };
    let good = Weights { values: &[1, 2, 3, 4], order: WeightOrder::ChannelMajor, scales: &[1.0, 1.0], bias: &[] };
    for (bad, what, expected, actual) in [
        (Weights { values: &[1], ..good }, "the weight matrix", 4, 1),
        (Weights { scales: &[1.0], ..good }, "the list of weight scales", 2, 1),
        (Weights { bias: &[1, 2, 3], ..good }, "the bias", 2, 3),
    ] {
        let error = Pointwise::pack(set, [2, 2], &bad, unit, &unit.into(), None).err();
        assert_eq!(error, Some(KernelError::WrongLength { what, expected, actual }));
    }
    assert!(Pointwise::pack(set, [2, 2], &good, unit, &unit.into(), None).is_ok());
}
