//! Every kernel set gives ONNX Runtime's results, bit for bit.
//!
//! `fixtures/onnx_runtime_cases.bin` was written by the script beside it, which documents the format.
use crate::kernels::*;

struct Case {
    name: String,
    shape: Vec<usize>,
    quantizations: Vec<Quantization>,
    weight_scales: Vec<f32>,
    input: &'static [u8],
    second: &'static [u8],
    weights: Vec<i8>,
    bias: &'static [u8],
    output: &'static [u8],
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn ints(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

fn cases(kind: &str) -> Vec<Case> {
    let mut left: &'static [u8] = include_bytes!("../../../tests/fixtures/kernels/onnx_runtime_cases.bin");
    let mut array = || -> Option<&'static [u8]> {
        let (len, rest) = left.split_first_chunk()?;
        let (content, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        left = rest;
        Some(content)
    };
    let mut cases = Vec::new();
    while let Some(name) = array() {
        let mut next = || array().expect("a case has ten arrays");
        let shape = ints(next()).into_iter().map(|size| size as usize).collect();
        let (scales, zero_points) = (floats(next()), next());
        let pairs = scales.into_iter().zip(zero_points);
        let quantizations = pairs.map(|(scale, &zero_point)| Quantization { scale, zero_point }).collect();
        cases.push(Case {
            name: String::from_utf8(name.to_vec()).expect("names are text"),
            shape,
            quantizations,
            weight_scales: floats(next()),
            input: next(),
            second: next(),
            weights: next().iter().map(|&byte| byte as i8).collect(),
            bias: next(),
            output: next(),
        });
    }
    cases.retain(|case| case.name == kind);
    assert!(!cases.is_empty());
    cases
}

/// Runs `operator` with the case's window, output channels, weights, quantizations and a buffer for the output.
fn check_convolutions(kind: &str, operator: impl Fn(KernelSet, Window, usize, &Weights<'_>, &Case, &mut [u8])) {
    for case in cases(kind) {
        let [height, width, channels, outputs, kernel, stride, top, left, bottom, right] = case.shape[..] else {
            panic!("a convolution has ten sizes")
        };
        let (kernel, stride, padding) = ([kernel; 2], [stride; 2], [top, left, bottom, right]);
        let window = Window { height, width, channels, kernel, stride, padding };
        let bias = ints(case.bias);
        let weights = Weights {
            values: &case.weights,
            order: WeightOrder::ChannelMajor,
            scales: &case.weight_scales,
            bias: &bias,
        };
        for set in KernelSet::available() {
            let mut output = vec![0; case.output.len()];
            operator(set, window, outputs, &weights, &case, &mut output);
            assert!(output == case.output, "{set:?}, {:?}", case.shape);
        }
    }
}

#[test]
fn pointwise_equals_qlinearconv() {
    check_convolutions("pointwise", |set, window, outputs, weights, case, output| {
        let [input, result] = [case.quantizations[0], case.quantizations[1]];
        let shape = [outputs, window.channels];
        let operator = Pointwise::pack(set, shape, weights, input, &result.into(), None).unwrap();
        operator.run(case.input, output);
    });
}

#[test]
fn depthwise_equals_qlinearconv() {
    check_convolutions("depthwise", |set, window, _, weights, case, output| {
        let [input, result] = [case.quantizations[0], case.quantizations[1]];
        let operator = Depthwise::pack(set, window, weights, input, &result.into()).unwrap();
        operator.run(case.input, 0..window.output_height(), output);
    });
}

#[test]
fn convolution_equals_qlinearconv() {
    check_convolutions("convolution", |set, window, outputs, weights, case, output| {
        let [input, result] = [case.quantizations[0], case.quantizations[1]];
        let operator = Convolution::pack(set, window, outputs, weights, input, &result.into()).unwrap();
        operator.run(case.input, 0..window.output_height(), &mut vec![0; operator.scratch_len()], output);
    });
}

#[test]
fn add_equals_dequantize_add_quantize() {
    for case in cases("add") {
        let [a, b, sum] = [0, 1, 2].map(|i| case.quantizations[i]);
        for set in KernelSet::available() {
            let mut output = vec![0; case.output.len()];
            Add::new(set, a, b, sum.into()).run(case.input, case.second, &mut output);
            assert!(output == case.output, "{set:?}");
        }
    }
}

#[test]
fn average_pool_equals_qlinearglobalaveragepool() {
    for case in cases("average pool") {
        let [input, result] = [case.quantizations[0], case.quantizations[1]];
        for set in KernelSet::available() {
            let mut output = vec![0; case.output.len()];
            let pool = GlobalAveragePool::new(set, case.shape[0], case.shape[1], input, &result.into());
            pool.run(case.input, &mut output);
            assert!(output == case.output, "{set:?}");
        }
    }
}

#[test]
fn linear_equals_matmulintegertofloat() {
    for case in cases("linear") {
        let [rows, depth, channels] = case.shape[..] else { panic!("a product has three sizes") };
        let weights =
            Weights { values: &case.weights, order: WeightOrder::DepthMajor, scales: &case.weight_scales, bias: &[] };
        for set in KernelSet::available() {
            let operator = Linear::pack(set, [channels, depth], &weights, &floats(case.bias)).unwrap();
            let mut steps = vec![0; rows * depth];
            let quantization = set.quantize_dynamic(&floats(case.input), &mut steps);
            let mut output = vec![0.0; rows * channels];
            operator.run(&steps, &vec![quantization; rows], &mut output);
            assert_eq!(output, floats(case.output), "{set:?}");
        }
    }
}

#[test]
fn quantize_equals_quantizelinear() {
    for case in cases("quantize") {
        for set in KernelSet::available() {
            let mut output = vec![0; case.output.len()];
            set.quantize(&floats(case.input), case.quantizations[0], &mut output);
            assert!(output == case.output, "{set:?}");
        }
    }
}
