//! Every kernel set of this CPU gives the reference's results, bit for bit, over odd shapes and extreme values.
use crate::kernels::*;
use proptest::prelude::*;
use std::num::NonZero;

/// A seeded stream of bytes with many extreme values.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let byte = (self.0 >> 33) as u8;
        match (self.0 >> 41) % 8 {
            0 => 0,
            1 => 255,
            2 => 128,
            3 => 127,
            _ => byte,
        }
    }

    fn steps(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next()).collect()
    }

    /// Weights; only some matrices have the lowest one, for which some kernels have other code.
    fn weights(&mut self, len: usize) -> Vec<i8> {
        let lowest = if self.next().is_multiple_of(2) { i8::MIN } else { -127 };
        (0..len).map(|_| (self.next() as i8).max(lowest)).collect()
    }

    fn scales(&mut self, len: usize, around: f32) -> Vec<f32> {
        (0..len).map(|_| around * (1.0 + f32::from(self.next()) / 64.0)).collect()
    }

    fn bias(&mut self, len: usize) -> Vec<i32> {
        (0..len).map(|_| (i32::from(self.next()) - 128) * 300).collect()
    }

    fn quantization(&mut self, scale: f32) -> Quantization {
        Quantization { scale, zero_point: self.next() }
    }

    fn output(&mut self, scale: f32) -> Output {
        let (a, b) = (self.next(), self.next());
        let steps = if a % 2 == 0 { 0..=255 } else { a.min(b)..=a.max(b) };
        Output { quantization: self.quantization(scale), steps }
    }
}

fn others() -> impl Iterator<Item = KernelSet> {
    KernelSet::available().filter(|&set| set != KernelSet::reference())
}

/// Output scales from one that saturates nearly everything to one that keeps nearly nothing.
fn scale() -> impl Strategy<Value = f32> {
    prop_oneof![Just(1e-12_f32), Just(0.01), Just(0.3), Just(40.0), Just(1e6)]
}

/// Images that a kernel takes at once, and some that it takes in parts.
fn depthwise_size() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![8 => (1_usize..13, 1_usize..13), 1 => (1_usize..5, 200_usize..500), 1 => (30_usize..60, 1_usize..13)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(debug_assertions) { 64 } else { 300 }, ..Default::default() })]

    #[test]
    fn pointwise(
        seed: u64, rows in prop_oneof![4 => 0_usize..20, 1 => 20_usize..300],
        depth in prop_oneof![8 => 1_usize..100, 1 => 4000_usize..4200], channels in 1_usize..150, scale in scale(),
    ) {
        let mut bytes = Bytes(seed);
        let (values, scales) = (bytes.weights(channels * depth), bytes.scales(channels, 0.01));
        let bias = if seed % 2 == 0 { vec![] } else { bytes.bias(channels) };
        let order = if seed % 3 == 0 { WeightOrder::DepthMajor } else { WeightOrder::ChannelMajor };
        let weights = Weights { values: &values, order, scales: &scales, bias: &bias };
        let (input, output) = (bytes.quantization(0.02), bytes.output(scale));
        let residual = Residual { addend: bytes.quantization(0.7 * scale), sum: bytes.output(scale * 1.3) };
        let (x, addend) = (bytes.steps(rows * depth), bytes.steps(rows * channels));
        let run = |set: KernelSet, residual: Option<&Residual>| {
            let operator = Pointwise::pack(set, [channels, depth], &weights, input, &output, residual).unwrap();
            let mut y = vec![99; rows * channels];
            match residual {
                None => operator.run(&x, &mut y),
                Some(_) => operator.run_adding(&x, &addend, &mut y),
            }
            y
        };
        for residual in [None, Some(&residual)] {
            let expected = run(KernelSet::reference(), residual);
            for set in others() {
                prop_assert_eq!(&run(set, residual), &expected, "{:?}", set);
            }
        }
    }

    #[test]
    fn linear(seed: u64, rows in 0_usize..9, depth in 1_usize..600, channels in 1_usize..150, pieces in 1_usize..9) {
        let mut threads = Threads::new(NonZero::new(1 + pieces % 3).unwrap()).unwrap();
        let mut bytes = Bytes(seed);
        let (values, scales) = (bytes.weights(channels * depth), bytes.scales(channels, 0.01));
        let weights = Weights { values: &values, order: WeightOrder::DepthMajor, scales: &scales, bias: &[] };
        let bias = if seed % 2 == 0 { vec![] } else { bytes.scales(channels, -3.0) };
        let quantizations: Vec<_> = (0..rows).map(|row| bytes.quantization(0.1 + row as f32)).collect();
        let x = bytes.steps(rows * depth);
        let mut run = |set: KernelSet| {
            let operator = Linear::pack(set, [channels, depth], &weights, &bias).unwrap();
            let mut y = vec![f32::NAN; rows * channels];
            operator.run(&x, &quantizations, &mut y);
            let mut shared = vec![f32::NAN; rows * channels];
            operator.run_shared(&mut threads, pieces, &x, &quantizations, &mut shared);
            assert_eq!(y, shared);
            y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let expected = run(KernelSet::reference());
        for set in others() {
            prop_assert_eq!(&run(set), &expected, "{:?}", set);
        }
    }

    #[test]
    fn depthwise(
        seed: u64, channels in 1_usize..200, size in depthwise_size(), kernel in prop::sample::select(vec![1_usize, 2, 3, 3, 5, 5]),
        stride in 1_usize..4, padding in prop::array::uniform4(0_usize..4), scale in scale(),
    ) {
        let window = Window {
            height: size.0, width: size.1, channels, kernel: [kernel; 2], stride: [stride; 2], padding,
        };
        prop_assume!(size.0 + padding[0] + padding[2] >= kernel && size.1 + padding[1] + padding[3] >= kernel);
        let mut bytes = Bytes(seed);
        let (values, scales) = (bytes.weights(channels * kernel * kernel), bytes.scales(channels, 0.01));
        let bias = bytes.bias(channels);
        let weights = Weights { values: &values, order: WeightOrder::ChannelMajor, scales: &scales, bias: &bias };
        let (input, output) = (bytes.quantization(0.02), bytes.output(scale));
        let x = bytes.steps(window.input_len());
        let first = seed as usize % window.output_height();
        let rows = first..window.output_height();
        let run = |set: KernelSet| {
            let operator = Depthwise::pack(set, window, &weights, input, &output).unwrap();
            let mut y = vec![99; rows.len() * window.output_width() * channels];
            operator.run(&x, rows.clone(), &mut y);
            let under = window.input_rows(rows.clone());
            let strip = &x[under.start * window.width * channels..under.end * window.width * channels];
            let mut from_strip = vec![98; y.len()];
            operator.run_strip(ImageRows { bytes: strip, first: under.start }, rows.clone(), &mut from_strip);
            assert_eq!(y, from_strip);
            y
        };
        let expected = run(KernelSet::reference());
        for set in others() {
            prop_assert_eq!(&run(set), &expected, "{:?}", set);
        }
    }

    #[test]
    fn convolution(
        seed: u64, inputs in 1_usize..6, channels in 1_usize..60, size in (1_usize..13, 1_usize..13),
        kernel in prop::array::uniform2(1_usize..6), stride in prop::array::uniform2(1_usize..4),
        padding in prop::array::uniform4(0_usize..3), scale in scale(),
    ) {
        let window = Window { height: size.0, width: size.1, channels: inputs, kernel, stride, padding };
        prop_assume!(size.0 + padding[0] + padding[2] >= kernel[0] && size.1 + padding[1] + padding[3] >= kernel[1]);
        let mut bytes = Bytes(seed);
        let (values, scales) = (bytes.weights(channels * inputs * kernel[0] * kernel[1]), bytes.scales(channels, 0.01));
        let bias = bytes.bias(channels);
        let weights = Weights { values: &values, order: WeightOrder::ChannelMajor, scales: &scales, bias: &bias };
        let (input, output) = (bytes.quantization(0.02), bytes.output(scale));
        let x = bytes.steps(window.input_len());
        let first = seed as usize % window.output_height();
        let rows = first..window.output_height();
        let run = |set: KernelSet| {
            let operator = Convolution::pack(set, window, channels, &weights, input, &output).unwrap();
            let mut y = vec![99; rows.len() * window.output_width() * channels];
            operator.run(&x, rows.clone(), &mut vec![7; operator.scratch_len()], &mut y);
            y
        };
        let expected = run(KernelSet::reference());
        for set in others() {
            prop_assert_eq!(&run(set), &expected, "{:?}", set);
        }
    }

    #[test]
    fn elementwise(seed: u64, len in 0_usize..200, values in prop::collection::vec(any::<f32>(), 0..200), scale in scale()) {
        let mut bytes = Bytes(seed);
        let (first, second) = (bytes.steps(len), bytes.steps(len));
        let [a, b] = [0.3, scale].map(|scale| bytes.quantization(scale));
        let output = bytes.output(1.1);
        let channels = 1 + seed as usize % 5;
        let pixels = values.len() / channels;
        let run = |set: KernelSet| {
            let (mut sum, mut real) = (vec![0; len], vec![0.0; len]);
            Add::new(set, a, b, output.clone()).run(&first, &second, &mut sum);
            set.dequantize(&first, b, &mut real);
            let (mut flat, mut dynamic) = (vec![0; values.len()], vec![0; values.len()]);
            set.quantize(&values, b, &mut flat);
            let moderate: Vec<f32> = values.iter().map(|value| value.clamp(-1e30, 1e30)).collect();
            let quantization = set.quantize_dynamic(&moderate, &mut dynamic);
            let mut hwc = vec![0; pixels * channels];
            set.quantize_planes(&values[..pixels * channels], channels, 0..pixels, b, &mut hwc);
            let mut mean = vec![0; channels];
            let image = &first[..len / channels * channels];
            GlobalAveragePool::new(set, len / channels, channels, a, &output).run(image, &mut mean);
            let mut excited = vec![0; image.len()];
            Excitation::new(set, a, b, &output).run(image, &mean, &mut excited);
            let real: Vec<_> = real.into_iter().map(f32::to_bits).collect();
            (sum, real, flat, dynamic, quantization.scale.to_bits(), quantization.zero_point, hwc, mean, excited)
        };
        let expected = run(KernelSet::reference());
        for set in others() {
            prop_assert_eq!(&run(set), &expected, "{:?}", set);
        }
    }
}
